#!/bin/sh
# The README's table: every check of the file's robustness, short or long, and what it counted.
#     sh tests/reliability.sh BUILD [long]        a step's log stays in BUILD/reliability
set -u
B=$1 how=${2:-short} seconds=5 mutants=40
[ "$how" = short ] || { seconds=600 mutants=200; }
logs=$B/reliability
mkdir -p "$logs"
run() { # NAME COMMAND...: its log, kept
    name=$1
    shift
    echo "== $name" >&2
    "$@" > "$logs/$name" 2>&1
}
tally() { grep -E '^[0-9]+ passed, [0-9]+ failed' "$logs/$1" | tail -1; }
run portability sh tests/portability.sh "$how"
run allocations make -s "$B/alloc"
run allocations "$B/alloc"
run fuzz sh tests/fuzz.sh "$B" $seconds
run mutants python3 tests/mutate.py --count $mutants
if [ "$how" = short ]; then run coverage sh tests/coverage.sh "$B" brief; else run coverage sh tests/coverage.sh "$B"; fi
run analysers sh tests/analyse.sh "$how"
echo "| what | measured |"
echo "|---|---|"
echo "| compilers, machines, switches | $(tally portability) |"
echo "| suites on other machines | $(sed -n 's/^portability: //p' "$logs/portability") |"
echo "| allocations refused, one at a time | $(awk '/ allocations$/ { n += $(NF - 1) } END { print n + 0 }' "$logs/allocations"), $(tally allocations) |"
echo "| fuzzing, $seconds s a target | $(awk '/ runs$/ { n += $(NF - 1) } END { print n + 0 }' "$logs/fuzz") runs, $(tally fuzz) |"
echo "| changed operators noticed | $(sed -n 's/^mutants: //p' "$logs/mutants") |"
echo "| coverage of celcomen.h | $(sed -n 's/^coverage: //p' "$logs/coverage") |"
echo "| clang --analyze, cppcheck, clang-tidy | $(sed -n 's/^analysers: //p' "$logs/analysers") |"
