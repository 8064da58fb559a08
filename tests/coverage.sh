#!/bin/sh
# Lines and branches of celcomen.h that the suites reach, by gcov: float and double at the best level of the machine, and
# at the plain and the AVX2 one the suites that call kernels; a branch counts once taken in any of them.
#     sh tests/coverage.sh BUILD [brief]      brief: float alone, loops of statistics cut short
# Passes with 97 % of the lines and 88 % of the branches.
# What is not reached stays in BUILD/uncovered.txt: lines in spans, and branches with their lines' text.
set -u
B=$1 brief=${2:-}
for t in gcov python3; do command -v $t > /dev/null || { echo "skipped: $t not installed"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }; done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$B"
# Float with OpenMP, whose loops take other ways (not in the brief form: counters of threads are slow), double without; then
# a run in which every allocation fails once.
build() { # NAME FLAGS FILES: its program, dir/NAME/tests
    mkdir "$dir/$1"
    gcc -O1 --coverage -std=gnu99 $2 -I. -Itests -c "$3" -o "$dir/$1/impl.o" || exit 1
    # shellcheck disable=SC2086
    gcc -O1 -std=gnu99 $2 -I. -Itests "$dir/$1/impl.o" $4 --coverage -fno-profile-arcs -fno-test-coverage -o "$dir/$1/tests" -lm || exit 1
}
look() { (cd "$dir/$1" && gcov -b -j -t impl.gcda > ../"$1".json 2> /dev/null); }
suites="tests/run.c $(ls tests/test_*.c | tr '\n' ' ')"
export OMP_NUM_THREADS=2
for real in FLOAT $([ -n "$brief" ] || echo DOUBLE); do
    build $real "-DCELCOMEN_$real $([ -n "$brief" ] || [ $real = DOUBLE ] || echo -fopenmp -fprofile-update=atomic)" tests/impl.c "$suites"
    "$dir/$real/tests" ${brief:+--brief} > "$dir/log" 2>&1 || grep -A3 FAILED "$dir/log"
    for level in scalar avx2; do "$dir/$real/tests" --level $level --suites "base dense sparse moments" >> "$dir/log" 2>&1; done
    look $real
done
build alloc "" tests/alloc.c ""
"$dir/alloc/tests" > "$dir/log" 2>&1 || tail -3 "$dir/log"
look alloc
python3 - "$dir"/*.json > "$B/uncovered.txt" 2> "$dir/summary" <<'P'
import json, sys
lines, branches = {}, {}
for name in sys.argv[1:]:
    here = {}
    for f in json.load(open(name))["files"]:
        if f["file"].endswith("celcomen.h"):
            for l in f["lines"]:
                n = l["line_number"]
                lines[n] = lines.get(n, 0) or l["count"]
                here.setdefault(n, []).extend(b["count"] > 0 for b in l["branches"])
    for n, b in here.items():  # a line of the other number type may have other branches: then the better of the two
        old = branches.get(n, [])
        branches[n] = [p or q for p, q in zip(old, b)] if len(old) == len(b) else max(old, b, key=lambda v: (sum(v) / max(1, len(v)), len(v)))
all_ = [b for n in branches for b in branches[n]]
bare = sorted(n for n in lines if not lines[n])
text = open("celcomen.h").read().split("\n")
print("coverage: %.1f %% of %d lines, %.1f %% of %d branches" % (100 - 100.0 * len(bare) / len(lines), len(lines), 100.0 * sum(all_) / len(all_), len(all_)), file=sys.stderr)
for n in bare:
    print("line %d: %s" % (n, text[n - 1].strip()))
for n in sorted(branches):
    if lines[n] and not all(branches[n]):
        print("branch %d, %d of %d: %s" % (n, sum(branches[n]), len(branches[n]), text[n - 1].strip()))
P
cat "$dir/summary"
echo "not reached: listed in $B/uncovered.txt"
awk '/^coverage:/ { good = $2 >= 97 && $7 >= 88; print good + 0 " passed, " 1 - good " failed, 0 skipped (97 % of lines, 88 % of branches)"; exit !good }' "$dir/summary"
