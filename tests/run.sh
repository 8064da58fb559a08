#!/bin/sh
# Runs everything that `make test` built in $1 and adds up the tallies. The last line is the sum.
set -u
B=$1
: "${CC:=cc}" "${CXX:=c++}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0

# tally NAME COMMAND...: runs it and adds its last line "N passed, N failed, N skipped".
tally() {
    name=$1
    shift
    "$@" > "$log" 2>&1
    status=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -1)
    if [ -z "$line" ]; then
        echo "$name: no tally (exit status $status)"
        tail -30 "$log"
        failed=$((failed + 1))
        return
    fi
    set -- $(echo "$line" | tr -dc '0-9 ')
    echo "$name: $line"
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
    if [ "$2" -gt 0 ] || [ $status -ne 0 ]; then
        grep -v '^  skipped' "$log" | tail -40
        [ "$2" -gt 0 ] || failed=$((failed + 1))
    else
        grep '^  skipped' "$log" | sort | uniq -c | head -5
    fi
}

for real in float double; do
    for level in scalar neon avx2 avx512; do tally "$real, $level" "$B/tests_$real" --level $level; done
done
tally "float, ASan and UBSan" "$B/tests_san" --brief
if command -v valgrind > /dev/null; then
    OMP_NUM_THREADS=1 tally "float, valgrind" valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite "$B/tests_float" --suites "base sparse tissue model moments published" --brief
else
    echo "skipped: valgrind not installed"; skipped=$((skipped + 1))
fi
tally "every allocation failing once" "$B/alloc"
tally "embedding" sh tests/embed/run.sh "$B"
tally "examples" sh tests/examples.sh "$B"
tally "tool" sh tests/test_tool.sh "$B/celcomen"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
