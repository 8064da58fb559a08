#!/bin/sh
# The course: every program of $1/course has at most 80 lines, exits with 0 (its claims hold) and prints what its page
# says, compiled and by tcc -run; its picture is well-formed; its page has all its parts. Threads change nothing.
set -u
B=$(cd "$1" && pwd)
top=$(pwd)
passed=0 failed=0 skipped=0
ok() { # ok NAME COMMAND...
    what=$1
    shift
    if "$@" > "$dir/log" 2>&1; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $what"; tail -15 "$dir/log"; fi
}
skip() { echo "  skipped: $1"; skipped=$((skipped + 1)); }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
short() { [ "$(wc -l < "$1")" -le 80 ]; }
page() { grep -q '^[0-9]* minutes, difficulty [123] of 3' "$1" && grep -q '^<details>' "$1" && grep -q '^## Harder' "$1"; }
run() { (cd "$dir" && "$B/course/$1" > "$1.out") && diff "$dir/$1.page" "$dir/$1.out"; }
threads() { # the same output from two threads
    "${CC:-cc}" -O2 -fopenmp -I. "examples/course/$1.c" -o "$dir/$1" -lm &&
        (cd "$dir" && OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive "./$1" > "$1.two") && diff "$dir/$1.page" "$dir/$1.two"
}
by_tcc() { # what is compiled at once and run: from the top, as the page says
    tcc -I. -run "$top/examples/course/$1.c" "$1.svg" > "$dir/$1.tcc" && rm -f "$1.svg" && diff "$dir/$1.page" "$dir/$1.tcc"
}
machine=$(uname -m)
for f in examples/course/[0-9]*.c; do
    name=$(basename "$f" .c)
    ok "$name: at most 80 lines" short "$f"
    ok "$name: its page has minutes, difficulty, a harder question and a solution" page "examples/course/$name.md"
    sed -n '/^```$/,/^```$/{/^```$/d;p}' "examples/course/$name.md" > "$dir/$name.page"
    # Last digits depend on the processor's rounding of products and sums; elsewhere the claims alone are checked.
    if [ "$machine" != x86_64 ]; then
        skip "the pages' figures are those of x86-64"
        ok "$name: its claims hold" sh -c "cd '$dir' && '$B/course/$name'"
        continue
    fi
    ok "$name: prints its page" run "$name"
    if command -v tcc > /dev/null; then ok "$name: the same by tcc -run" by_tcc "$name"; else skip "tcc not installed"; fi
    if command -v xmllint > /dev/null; then ok "$name: the picture" xmllint --noout "$dir/$name.svg"; else skip "xmllint not installed"; fi
done
if [ "$machine" != x86_64 ]; then :; elif echo 'int main(void) { return 0; }' | "${CC:-cc}" -fopenmp -x c - -o "$dir/probe" 2> /dev/null; then
    for name in 03_recover 06_ablate; do ok "$name: the same with two threads" threads $name; done # fits, and knock-outs
else skip "the compiler has no OpenMP"; fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
