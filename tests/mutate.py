#!/usr/bin/env python3
"""Changes one operator or constant of the implementation at a time and asks whether a test notices.

    python3 tests/mutate.py                 200 mutants, seed 1
    python3 tests/mutate.py --count 40 --seed 2 --jobs 2 [--rooms score,sampler] [--lines 100-200,340]

A mutant is killed if it does not compile, or a suite of its room fails, crashes or hangs. Survivors are listed with
their lines, to be argued (equivalent) or to be given a test. tests/mutants.txt holds those argued so far, by the text
of the line and what was put in its place. The last lines are the tally.
"""
import argparse, concurrent.futures, os, random, re, shutil, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SUITES = {  # the suites that are to notice, quick ones first
    "base": "base robust", "kernels": "dense base", "dense": "dense", "sparse": "sparse tissue", "files": "files tables",
    "tissue": "tissue robust", "model": "model robust", "moments": "moments score", "solve": "score", "score": "score robust",
    "counting": "counting", "published": "published", "sampler": "sampler", "optimum": "optimum", "likelihood": "likelihood",
    "perturb": "perturb", }
FLIPS = [(r" < ", [" <= ", " > "]), (r" <= ", [" < "]), (r" > ", [" >= ", " < "]), (r" >= ", [" > "]), (r" \+ ", [" - "]),
         (r" - ", [" + "]), (r" \* ", [" / "]), (r" / ", [" * "]), (r" && ", [" || "]), (r" \|\| ", [" && "]), (r" == ", [" != "]),
         (r" != ", [" == "]), (r" \+= ", [" -= "]), (r" -= ", [" += "]), (r"\+\+", ["--"]), (r"\b0\b(?![.x])", ["1"]),
         (r"\b1\b(?![.])", ["0", "2"]), (r"\b2\b(?![.])", ["3"]), (r"\b0\.5\b", ["0.25"])]


def places(text, rooms):
    """(line, start, end, replacement, room) of all mutants of the implementation's code."""
    lines = text.split("\n")
    start = next(i for i, l in enumerate(lines) if "CELCOMEN_IMPLEMENTATION_INCLUDED" in l)
    room, out, comment, kernel = None, [], False, False
    for i, line in enumerate(lines):
        if i < start:
            continue
        m = re.match(r"/\* ([a-z]+)\s+\*/$", line)
        if m and i > 0 and lines[i - 1].startswith("/* ====="):
            room = m.group(1)
        code = line
        if comment:
            if "*/" not in code:
                continue
            code = " " * (code.index("*/") + 2) + code[code.index("*/") + 2:]
            comment = False
        code = re.sub(r"/\*.*?\*/", lambda m: " " * len(m.group(0)), code)
        if "/*" in code:
            code, comment = code[:code.index("/*")], True
        code = re.sub(r'"(\\.|[^"\\])*"', lambda m: " " * len(m.group(0)), code)
        if room not in rooms or code.lstrip().startswith("#") or not code.startswith("    ") or "omp " in code:
            continue
        if re.match(r"\s+(static |const |cel_|int64_t |double |enum ).*;$", code) and "=" not in code:
            continue
        for pattern, to in FLIPS:
            for m in re.finditer(pattern, code):
                out += [(i, m.start(), m.end(), t, room) for t in to]
    return out


def build(folder, flags):
    subprocess.run(["gcc", "-O1", "-std=gnu99", "-I" + folder, "-I" + ROOT + "/tests", "-c", ROOT + "/tests/impl.c", "-o", folder + "/impl.o"] +
                   flags, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)


def trial(job):
    text, place, tests = job
    i, a, b, to, room = place
    lines = text.split("\n")
    was = lines[i]
    lines[i] = was[:a] + to + was[b:]
    folder = tempfile.mkdtemp()
    try:
        with open(folder + "/celcomen.h", "w") as f:
            f.write("\n".join(lines))
        try:
            build(folder, [])
            subprocess.run(["gcc", folder + "/impl.o", "-o", folder + "/t", "-Wl,--start-group"] + tests + ["-lm"], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except subprocess.SubprocessError:
            return place, "killed: does not compile", was
        env = dict(os.environ, OMP_NUM_THREADS="1")
        levels = ["avx2", "scalar"] if room in ("kernels", "dense", "sparse") else [None]
        for level in levels:
            command = [folder + "/t", "--suites", SUITES[room]] + (["--level", level] if level else [])
            try:
                done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=400)
            except subprocess.TimeoutExpired:
                return place, "killed: hangs", was
            if done.returncode:
                return place, "killed", was
        return place, "survived", was
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--count", type=int, default=200)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=max(1, os.cpu_count() or 1))
    p.add_argument("--rooms", default=",".join(SUITES))
    p.add_argument("--lines", default="")
    o = p.parse_args()
    text = open(ROOT + "/celcomen.h").read()
    rooms = set(o.rooms.split(","))
    rooms = {r for r in rooms if all(os.path.exists("%s/tests/test_%s.c" % (ROOT, s)) for s in SUITES[r].split())}
    all_ = places(text, rooms)
    if o.lines:
        spans = [tuple(int(x) for x in (s.split("-") * 2)[:2]) for s in o.lines.split(",")]
        all_ = [m for m in all_ if any(lo <= m[0] + 1 <= hi for lo, hi in spans)]
    chosen = random.Random(o.seed).sample(all_, min(o.count, len(all_)))
    argued = set()
    if os.path.exists(ROOT + "/tests/mutants.txt"):
        for line in open(ROOT + "/tests/mutants.txt"):
            if "\t" in line and not line.startswith("#"):
                argued.add(tuple(line.rstrip("\n").split("\t")[:2]))
    folder = tempfile.mkdtemp()
    tests = []
    for f in ["run"] + sorted({"test_" + s for r in rooms for s in SUITES[r].split()}):
        suites = "SUITES(X)=" + " ".join("X(%s)" % s for s in sorted({s for r in rooms for s in SUITES[r].split()}))
        tests.append("%s/%s.o" % (folder, f))
        subprocess.run(["gcc", "-O1", "-std=gnu99", "-I" + ROOT, "-I" + ROOT + "/tests", "-D" + suites, "-c", "%s/tests/%s.c" % (ROOT, f),
                        "-o", tests[-1]], check=True)
    killed = survived = equivalent = 0
    with concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
        for place, verdict, was in pool.map(trial, [(text, m, tests) for m in chosen]):
            i, a, b, to, room = place
            now = (was[:a] + to + was[b:]).strip()
            if verdict.startswith("killed"):
                killed += 1
            elif (was.strip(), now) in argued:
                equivalent += 1
            else:
                survived += 1
                print("survived: %s, line %d\n  %s\n  %s" % (room, i + 1, was.strip(), now), flush=True)
    shutil.rmtree(folder)
    rate = 100.0 * killed / max(1, killed + survived)
    print("mutants: %d of %d killed (%.0f %%), %d argued to be equivalent, %d possible, seed %d" %
          (killed, killed + survived, rate, equivalent, len(all_), o.seed))
    print("%d passed, %d failed, 0 skipped" % (killed + equivalent, survived))


if __name__ == "__main__":
    sys.exit(main())
