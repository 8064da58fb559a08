#!/usr/bin/env python3
"""Changes one operator or constant of the implementation at a time and asks whether a test notices.

    python3 tests/mutate.py                 200 mutants
    python3 tests/mutate.py --count 40 --seed 2 --jobs 2 [--rooms score,sampler] [--lines 100-200,340] [--show]

First every case of the suites runs once with gcov, so that a mutant is shown only to the cases that reach its line, the
quick ones first, until one fails; a line that no case reaches survives. Killed: a case fails, crashes or hangs. Not
counted: what does not compile, and what compiles to the same machine code (equivalent for certain). What survives is
shown to the same cases in double, and under ASan and UBSan, as `make test` does. tests/mutants.txt
holds those argued to be equivalent, by the text of the line and what was put in its place. Which mutants are drawn
depends on the text of their function alone, and verdicts are kept in build/mutants: a run may be stopped and goes on,
and after a change only what it can have touched is tried again. The last lines are the tally.
"""
import argparse, concurrent.futures, glob, hashlib, json, os, re, resource, shutil, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(os.environ.get("BUILD", os.path.join(ROOT, "build")), "mutants")
DOUBLE = ["-DCELCOMEN_DOUBLE"]
SAN = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
FLAGS = ["-O1", "-std=gnu99", "-I" + ROOT + "/tests"]
TCC_LIBRARY = glob.glob("/usr/lib/*/tcc/libtcc1.a") + glob.glob("/usr/lib/tcc/libtcc1.a") + glob.glob("/usr/local/lib/tcc/libtcc1.a")
KERNELS = ("kernels", "dense", "sparse")  # their text has a scalar and a vector form
FLIPS = [(r" < ", [" <= ", " > "]), (r" <= ", [" < "]), (r" > ", [" >= ", " < "]), (r" >= ", [" > "]), (r" \+ ", [" - "]),
         (r" - ", [" + "]), (r" \* ", [" / "]), (r" / ", [" * "]), (r" && ", [" || "]), (r" \|\| ", [" && "]), (r" == ", [" != "]),
         (r" != ", [" == "]), (r" \+= ", [" -= "]), (r" -= ", [" += "]), (r"\+\+", ["--"]), (r"\b0\b(?![.x])", ["1"]),
         (r"\b1\b(?![.])", ["0", "2"]), (r"\b2\b(?![.])", ["3"]), (r"\b0\.5\b", ["0.25"])]


def sha(*texts):
    return hashlib.sha1("\0".join(texts).encode()).hexdigest()


def compiled_lines():
    """Lines of the header that this compiler on this machine sees at all (not those of other systems), macros apart."""
    out = subprocess.run(["gcc", "-E", "-I" + ROOT] + FLAGS + [ROOT + "/tests/impl.c"], check=True, stdout=subprocess.PIPE).stdout.decode()
    seen, here, at = set(), False, 0
    for line in out.split("\n"):
        m = re.match(r'# (\d+) "(.*?)"', line)
        if m:
            here, at = m.group(2).endswith("celcomen.h"), int(m.group(1))
            continue
        if here and line.strip():
            seen.add(at)
        at += 1
    return seen


def places(text):
    """All mutants of the implementation's code: dictionaries with line, columns, replacement, room, key."""
    lines = text.split("\n")
    start = next(i for i, l in enumerate(lines) if "CELCOMEN_IMPLEMENTATION_INCLUDED" in l)
    room, out, comment, function, begun, count = None, [], False, "", 0, {}
    seen = compiled_lines()
    for i, line in enumerate(lines):
        if i < start:
            continue
        m = re.match(r"/\* ([a-z]+)\s+\*/$", line)
        if m and lines[i - 1].startswith("/* ====="):
            room = m.group(1)
        if line == "{":
            begun = next(k for k in range(i, 0, -1) if not lines[k - 1].strip() or lines[k - 1] == "}" or lines[k - 1].endswith("*/"))
            end = lines.index("}", i) if "}" in lines[i:] else i
            function = "\n".join(lines[begun:end])
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
        macro = line.endswith("\\")
        if room is None or code.lstrip().startswith("#") or not code.startswith("    ") or "omp " in code:
            continue
        if not macro and i + 1 not in seen:
            continue
        if re.match(r"\s+(static |const |cel_|int64_t |double |enum ).*;$", code) and "=" not in code:
            continue
        for pattern, to in FLIPS:
            for m in re.finditer(pattern, code):
                for t in to:
                    key = sha(line if macro else function, line, str(m.start()), t)
                    count[key] = count.get(key, 0) + 1
                    out.append({"line": i, "from": m.start(), "to": m.end(), "now": t, "room": room, "macro": macro,
                                "key": sha(key, str(count[key]))})
    return out


def compile_(header, out, flags=()):
    subprocess.run(["gcc", "-I" + os.path.dirname(header)] + FLAGS + list(flags) + ["-c", ROOT + "/tests/impl.c", "-o", out], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)


def test_objects(flags, folder=None):
    """The suites' objects, each kept in build/mutants under a name that tells its text, its headers' and the flags."""
    headers = sha(*[open(f).read() for f in sorted(glob.glob(ROOT + "/tests/*.h"))], open(ROOT + "/celcomen.h").read().split("CELCOMEN_IMPLEMENTATION_INCLUDED")[0])
    out = []
    for f in [ROOT + "/tests/run.c"] + sorted(glob.glob(ROOT + "/tests/test_*.c")):
        out.append("%s/%s-%s.o" % (folder or WORK, os.path.basename(f), sha(open(f).read(), headers, *flags)[:12]))
        if not os.path.exists(out[-1]):
            subprocess.run(["gcc", "-I" + ROOT] + FLAGS + flags + ["-c", f, "-o", out[-1] + ".new"], check=True)
            os.rename(out[-1] + ".new", out[-1])
    return out


def level_of(room):
    return ["", "avx2", "scalar"] if room in KERNELS else [""]


def cover(stamp):
    """{case: {"sec": seconds, "lines": [..], "suite": name}} of the best level and the scalar one. Kept: of a suite that has
    not changed, nor the header, nothing is run again."""
    kept, cases, todo = WORK + "/cover.json", {}, dict(stamp)
    if os.path.exists(kept):
        old = json.load(open(kept))
        if old["stamp"].get("header") == stamp["header"]:
            todo = {s: h for s, h in stamp.items() if old["stamp"].get(s) != h}
            cases = {c: v for c, v in old["cases"].items() if v["suite"] not in todo}
    if not todo:
        return cases
    folder = tempfile.mkdtemp()
    compile_(ROOT + "/celcomen.h", folder + "/impl.o", ["--coverage"])
    subprocess.run(["gcc", "--coverage", folder + "/impl.o"] + test_objects(["-DTEST_COVER"], folder) + ["-o", folder + "/t", "-lm"], check=True)
    for suite in [s for s in todo if s != "header"]:
        for level in ["", "scalar"] if suite in ("base", "dense", "sparse", "moments") else [""]:
            env = dict(os.environ, OMP_NUM_THREADS="1", TEST_COVER=folder + "/of")
            command = [folder + "/t", "--suites", suite] + (["--level", level] if level else [])
            log = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode(errors="replace")
            for name, sec in re.findall(r"^case (\w+) ([0-9.]+)$", log, re.M):
                data = "%s/of/%s%s/impl.gcda" % (folder, name, folder)
                if not os.path.exists(data):
                    continue
                shutil.move(data, folder + "/impl.gcda")
                found = json.loads(subprocess.run(["gcov", "-j", "-t", "impl.gcda"], cwd=folder, stdout=subprocess.PIPE).stdout)
                found = [l for f in found["files"] if f["file"].endswith("celcomen.h") for l in f["lines"]]
                case = cases.setdefault(name, {"sec": 0, "lines": [], "suite": suite})
                case["sec"] = max(case["sec"], float(sec))
                case["lines"] = sorted({l["line_number"] for l in found if l["count"]} | set(case["lines"]))
                cases[""] = {"sec": 0, "lines": sorted({l["line_number"] for l in found}), "suite": "header"}
    shutil.rmtree(folder)
    json.dump({"stamp": stamp, "cases": cases}, open(kept, "w"))
    return cases


def reaching(place, cases, kernel_cases):
    """The cases that reach a mutant's line, quick ones first. A line without code of its own belongs to the one above."""
    if place["macro"]:
        return kernel_cases
    known, line = cases[""], place["line"] + 1
    while line not in known["set"] and line > 1:
        line -= 1
    return sorted((c for c in cases if c and line in cases[c]["set"]), key=lambda c: cases[c]["sec"])


def noticed(folder, objects, flags, place, names, sec, most=0.5):
    """Whether one of the cases fails: a first half second of quick ones, then the slower ones, a process for each part."""
    subprocess.run(["gcc"] + flags + [folder + "/impl.o", "-o", folder + "/t"] + objects + TCC_LIBRARY + ["-lm"], check=True, stderr=subprocess.DEVNULL)
    env, batch, total = dict(os.environ, OMP_NUM_THREADS="1", TMPDIR=folder), [], 0
    for k, name in enumerate(names):
        batch.append(name)
        total += sec[name]
        if total < most and k + 1 < len(names):
            continue
        for level in level_of(place["room"]):
            command = [folder + "/t", "--stop", "--cases", " ".join(batch)] + (["--level", level] if level else []) + (["--brief"] if flags else [])
            # A mutant that hangs uses up its processor time, which other programs do not stretch. ASan wants all addresses.
            cpu, memory = int(10 + (60 if flags else 10) * total), resource.RLIM_INFINITY if flags else 8 << 30
            try:
                done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3600,
                                      preexec_fn=lambda: (resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu)),
                                                          resource.setrlimit(resource.RLIMIT_AS, (memory, memory))))
            except subprocess.TimeoutExpired:
                return True
            if done.returncode:
                return True
        batch, total, most = [], 0, most * 3
    return False


def quick_under_tcc(sec, tests, folder, stamp):
    """The cases of less than a fifth of a second that pass when tcc has compiled the implementation, if it is there; kept."""
    kept = WORK + "/tcc.json"
    if os.path.exists(kept) and json.load(open(kept))["stamp"] == stamp:
        return set(json.load(open(kept))["cases"])
    fast = set()
    if shutil.which("tcc") and TCC_LIBRARY:
        subprocess.run(["tcc", "-I" + ROOT, "-I" + ROOT + "/tests", "-c", ROOT + "/tests/impl.c", "-o", folder + "/tcc.o"], check=True)
        subprocess.run(["gcc", folder + "/tcc.o", "-o", folder + "/t"] + tests + TCC_LIBRARY + ["-lm"], check=True, stderr=subprocess.DEVNULL)
        quick = [c for c in sec if c and sec[c] < 0.2]
        said = subprocess.run([folder + "/t", "--cases", " ".join(quick)], cwd=ROOT, stdout=subprocess.PIPE).stdout.decode(errors="replace")
        if re.search(r"^[0-9]+ passed", said, re.M):
            fast = set(quick) - set(re.findall(r"FAILED (\w+)", said))
    json.dump({"stamp": stamp, "cases": sorted(fast)}, open(kept, "w"))
    return fast


def trial(job):
    text, place, tests, names, sec, base, fast, plain = job
    if not names:
        return place, "not reached"
    lines = text.split("\n")
    was = lines[place["line"]]
    lines[place["line"]] = was[:place["from"]] + place["now"] + was[place["to"]:]
    folder = tempfile.mkdtemp()
    try:
        with open(folder + "/celcomen.h", "w") as f:
            f.write("\n".join(lines))
        try:
            if fast and not place["macro"]:  # most fall to a quick case, for which tcc, if it is there, is ready in no time
                quick = [c for k, c in enumerate(names) if c in fast and sum(sec[q] for q in names[:k + 1]) < 0.2]
                if subprocess.run(["tcc", "-I" + folder, "-I" + ROOT + "/tests", "-c", ROOT + "/tests/impl.c", "-o", folder + "/impl.o"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
                    return place, "does not compile"
                if quick and noticed(folder, tests, [], dict(place, room=""), quick, sec):
                    return place, "killed"
            compile_(folder + "/celcomen.h", folder + "/impl.o")
        except subprocess.SubprocessError:
            return place, "does not compile"
        if open(folder + "/impl.o", "rb").read() == base:
            return place, "same code"
        if noticed(folder, tests, [], place, names, sec):
            return place, "killed"
        compile_(folder + "/celcomen.h", folder + "/impl.o", DOUBLE)
        if noticed(folder, test_objects(DOUBLE), [], place, names, sec):
            return place, "killed"
        if plain:
            return place, "survived"
        compile_(folder + "/celcomen.h", folder + "/impl.o", SAN)
        return place, "killed" if noticed(folder, test_objects(SAN), SAN, place, names, sec) else "survived"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--count", type=int, default=200)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=1)
    p.add_argument("--rooms", default="")
    p.add_argument("--lines", default="")
    p.add_argument("--plain", action="store_true", help="without the last look, under ASan and UBSan")
    p.add_argument("--least", type=float, default=0, help="per cent killed that is a pass")
    p.add_argument("--show", action="store_true", help="every verdict, not the survivors alone")
    o = p.parse_args()
    os.makedirs(WORK, exist_ok=True)
    text = open(ROOT + "/celcomen.h").read()
    suites = [open(f).read() for f in sorted(glob.glob(ROOT + "/tests/test*.[ch]")) + [ROOT + "/tests/run.c"]]
    all_ = places(text)
    if o.rooms:
        all_ = [m for m in all_ if m["room"] in o.rooms.split(",")]
    if o.lines:
        spans = [tuple(int(x) for x in (s.split("-") * 2)[:2]) for s in o.lines.split(",")]
        all_ = [m for m in all_ if any(lo <= m["line"] + 1 <= hi for lo, hi in spans)]
    all_.sort(key=lambda m: sha(str(o.seed), m["key"]))
    cases = cover(dict({os.path.basename(f)[5:-2]: sha(open(f).read()) for f in glob.glob(ROOT + "/tests/test_*.c")}, header=sha(text)))
    for c in cases.values():
        c["set"] = set(c["lines"])
    kernel = {n for f in ("base", "dense", "sparse") for n in re.findall(r"RUN\((\w+)\)", open(ROOT + "/tests/test_%s.c" % f).read())}
    kernel = sorted(kernel & set(cases), key=lambda c: cases[c]["sec"])
    sec = {c: cases[c]["sec"] for c in cases}
    argued, kept = set(), {}
    for line in open(ROOT + "/tests/mutants.txt") if os.path.exists(ROOT + "/tests/mutants.txt") else []:
        if "\t" in line and not line.startswith("#"):
            argued.add(tuple(line.rstrip("\n").split("\t")[:2]))
    log = WORK + "/verdicts.txt"  # key, stamp of the tests, verdict; a verdict other than survival holds with more tests
    stamp = sha(*suites)
    for line in open(log) if os.path.exists(log) else []:
        key, of, verdict = line.rstrip("\n").split("\t")
        if of == stamp or verdict not in ("survived", "not reached"):
            kept[key] = verdict
    folder = tempfile.mkdtemp()
    tests = test_objects([])
    compile_(ROOT + "/celcomen.h", folder + "/impl.o")
    base = open(folder + "/impl.o", "rb").read()
    fast = quick_under_tcc(sec, tests, folder, sha(text, stamp))
    n = {}
    lines = text.split("\n")

    def mutated(place):
        was = lines[place["line"]]
        return was.strip(), (was[:place["from"]] + place["now"] + was[place["to"]:]).strip()

    def tell(place, verdict):
        was, now = mutated(place)
        n[verdict] = n.get(verdict, 0) + 1
        if o.show or verdict in ("survived", "not reached"):
            print("%s: %s, line %d\n  %s\n  %s" % (verdict, place["room"], place["line"] + 1, was, now), flush=True)

    def verdicts():
        with concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
            at = 0
            while at < len(all_):
                some = all_[at:at + o.jobs]
                at += o.jobs
                jobs = [(text, m, tests, reaching(m, cases, kernel), sec, base, fast, o.plain) for m in some
                        if m["key"] not in kept and mutated(m) not in argued]
                for place, verdict in pool.map(trial, jobs):
                    kept[place["key"]] = verdict
                    with open(log, "a") as f:
                        f.write("%s\t%s\t%s\n" % (place["key"], stamp, verdict))
                for m in some:
                    yield m, "argued" if mutated(m) in argued else kept[m["key"]]

    counted = 0
    for place, verdict in verdicts():
        tell(place, verdict)
        counted += verdict not in ("does not compile", "same code")
        if counted >= o.count:
            break
    shutil.rmtree(folder)
    killed, alive = n.get("killed", 0), n.get("survived", 0) + n.get("not reached", 0)
    print("mutants: %d of %d killed (%.1f %%), %d not reached by any suite; %d argued to be equivalent, %d of the same machine code; %d possible, seed %d" %
          (killed, killed + alive, 100.0 * killed / max(1, killed + alive), n.get("not reached", 0), n.get("argued", 0), n.get("same code", 0),
           len(all_), o.seed))
    good = killed >= o.least / 100 * (killed + alive) if o.least else not alive
    print("1 passed, 0 failed, 0 skipped" if good else "0 passed, 1 failed, 0 skipped")
    return not good


if __name__ == "__main__":
    sys.exit(main())
