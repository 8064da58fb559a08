#!/bin/sh
# Compiles the header under strict warnings as errors: gcc and clang, C99, C11, C23, C++11, C++17, C++20, float and double,
# with and without OpenMP, every combination of the other switches, and every public struct zeroed. Ends with the tally.
# Most of it needs no optimiser: gcc warns of what is unused when it compiles, clang when it parses. What an optimiser
# sees (uninitialised, out of bounds, aliasing) is looked for at -O1 and -O2.
set -u
: "${WARN:=-Wall -Wextra -Wpedantic -Werror}"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
printf '#define CELCOMEN_IMPLEMENTATION\n#include "celcomen.h"\n' > "$tmp/w.c"
printf '#include "examples/report.h"\nint main(void) { return 0; }\n' > "$tmp/draw.c" # and with it examples/draw.h
awk -f tests/embed/zero.awk celcomen.h > "$tmp/zero.c"
passed=0 failed=0 skipped=0
skip() { echo "  skipped: $*"; skipped=$((skipped + 1)); }
try() { echo "$* -I." >> "$tmp/jobs"; }
runs() { echo "$1" | $cc $2 -x c - -o "$tmp/probe" > /dev/null 2>&1; }

for cc in gcc clang; do
    cxx=g++ quick="-O0 -c -o /dev/null"
    [ $cc = gcc ] || cxx=clang++ quick="-fsyntax-only"
    if ! command -v $cc > /dev/null || ! command -v $cxx > /dev/null; then skip "$cc or $cxx not installed"; continue; fi
    openmp=-fopenmp
    runs '#include <omp.h>
int main(void) { return omp_get_max_threads() < 1; }' -fopenmp || { skip "$cc has no OpenMP library"; openmp=""; }
    for real in "" -DCELCOMEN_DOUBLE; do
        for omp in "" $openmp; do
            for std in c99 c11 c2x; do try $cc -std=$std $quick $WARN $real $omp "$tmp/w.c"; done
            for std in c++11 c++17 c++20; do try $cxx -x c++ -std=$std $quick $WARN $real $omp "$tmp/w.c"; done
        done
        try $cc -std=c99 -O2 $WARN $real $openmp -c "$tmp/w.c" -o /dev/null
        try $cxx -x c++ -std=c++17 -O1 $WARN $real -c "$tmp/w.c" -o /dev/null
        for static in "" -DCELCOMEN_STATIC; do
            for stdio in "" -DCELCOMEN_NO_STDIO; do
                for simd in "" -DCELCOMEN_NO_SIMD; do
                    try $cc -std=c99 $quick $WARN $static $stdio $simd $real "$tmp/w.c"
                done
            done
        done
        try $cc -std=c99 $quick $WARN $real "$tmp/zero.c"
        try $cxx -x c++ -std=c++17 $quick $WARN $real "$tmp/zero.c"
        if runs '#include <cblas.h>' -E; then try $cc -std=c99 $quick $WARN -DCELCOMEN_CBLAS $real "$tmp/w.c"
        else skip "cblas.h not installed"; fi
    done
    try $cc -std=c99 $quick $WARN "$tmp/draw.c"
    try $cxx -x c++ -std=c++11 $quick $WARN "$tmp/draw.c"
    try $cc -std=c99 -O2 $WARN -DCELCOMEN_STATIC -DCELCOMEN_NO_STDIO -DCELCOMEN_NO_SIMD -c "$tmp/w.c" -o /dev/null
done

# One compilation a processor at a time; a failure is printed whole.
cat > "$tmp/one.sh" << 'EOS'
log=$(mktemp "$0.XXXXXX")
if sh -c "$1" > "$log" 2>&1; then echo . >> "$0.passed"; else
    { echo "FAILED: $1"; head -20 "$log"; } > "$log.text"
    cat "$log.text"
    echo . >> "$0.failed"
fi
EOS
: > "$tmp/one.sh.passed"
: > "$tmp/one.sh.failed"
[ ! -s "$tmp/jobs" ] || tr '\n' '\0' < "$tmp/jobs" | xargs -0 -n 1 -P "$(getconf _NPROCESSORS_ONLN)" sh "$tmp/one.sh"
passed=$(grep -c . "$tmp/one.sh.passed") failed=$(grep -c . "$tmp/one.sh.failed")
echo "warn: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
