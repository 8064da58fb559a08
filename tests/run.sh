#!/bin/sh
# Runs everything that `make test` built in $1 and adds up the tallies. The last line is the sum.
# What needs one processor (sanitizers, valgrind, the tool) runs beside what needs all of them (the suites): the first
# lane's reports are kept until the second has told its own, so that lines of two never mix.
set -u
B=$1
: "${CC:=cc}" "${CXX:=c++}"
: "${OMP_WAIT_POLICY:=passive}" # a thread that waits leaves its processor to the other lane
export CC CXX OMP_WAIT_POLICY
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# tally NAME COMMAND...: runs it and reports its last line "N passed, N failed, N skipped", which goes to $sums too.
tally() {
    name=$1
    shift
    "$@" > "$log" 2>&1
    status=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -1)
    if [ -z "$line" ]; then
        echo "$name: no tally (exit status $status)"
        tail -30 "$log"
        echo "0 1 0" >> "$sums"
        return
    fi
    set -- $(echo "$line" | tr -dc '0-9 ')
    echo "$name: $line"
    failed=$2
    if [ "$2" -gt 0 ] || [ $status -ne 0 ]; then
        grep -v '^  skipped' "$log" | tail -"$lines"
        [ "$2" -gt 0 ] || { echo "exit status $status"; failed=1; }
    else
        grep '^  skipped' "$log" | sort | uniq -c | head -5
        [ "$lines" -eq 40 ] || grep -v '^  skipped' "$log"
    fi
    echo "$1 $failed ${3:-0}" >> "$sums"
}
skip() { echo "skipped: $*"; echo "0 0 1" >> "$sums"; }
built() { if [ -x "$2" ]; then tally "$@"; else skip "clang or its sanitizers not installed ($1)"; fi; }

one_processor() {
    log=$dir/log1 sums=$dir/sums1 lines=1000
    tally "the house" sh tests/house.sh
    lines=40
    tally "the guard of the house" sh tests/house_test.sh
    tally "every allocation failing once" "$B/alloc"
    built "every allocation failing once, clang" "$B/alloc_clang"
    tally "float, ASan and UBSan" "$B/tests_san" --brief
    built "float, ASan and UBSan of clang" "$B/tests_clang" --brief
    if command -v valgrind > /dev/null; then
        OMP_NUM_THREADS=1 tally "float, valgrind" valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite "$B/tests_float" --suites "base sparse tissue model moments rows published" --brief
    else skip "valgrind not installed"; fi
}
one_processor > "$dir/report" 2>&1 &
log=$dir/log2 sums=$dir/sums2 lines=40
for real in float double; do
    for level in scalar neon avx2 avx512; do tally "$real, $level" "$B/tests_$real" --level $level; done
done
tally "embedding" sh tests/embed/run.sh "$B"
tally "examples" sh tests/examples.sh "$B"
tally "course" sh tests/course.sh "$B"
tally "sparse shifts" sh tests/svae.sh "$B"
tally "ranks of a cluster" sh tests/mpi.sh "$B"
tally "tool" sh tests/test_tool.sh "$B/celcomen"
for part in tests/tool_*.sh; do # the tool's larger parts, a script each
    [ ! -f "$part" ] || tally "tool, $(basename "$part" .sh | sed 's/^tool_//')" sh "$part" "$B/celcomen"
done
wait
tally "playground" sh tests/playground.sh "$B" # alone, since it tells how fast it is
cat "$dir/report"
cat "$dir/sums1" "$dir/sums2" | awk '{ p += $1; f += $2; s += $3 } END { print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped"; exit f > 0 }'
