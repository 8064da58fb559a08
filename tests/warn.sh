#!/bin/sh
# Compiles the header under strict warnings as errors: gcc and clang, C99, C11, C++11, C++17, float and double, with and
# without OpenMP, and every combination of the other switches. Ends with the tally.
set -u
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
printf '#define CELCOMEN_IMPLEMENTATION\n#include "celcomen.h"\n' > "$tmp/w.c"
cp "$tmp/w.c" "$tmp/w.cc"
passed=0 failed=0 skipped=0
try() {
    if "$@" 2> "$tmp/log"; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $*"; head -20 "$tmp/log"; fi
}
for pair in gcc:g++ clang:clang++; do
    cc=${pair%:*} cxx=${pair#*:}
    if ! command -v $cc > /dev/null || ! command -v $cxx > /dev/null; then
        echo "skipped: $cc not installed"; skipped=$((skipped + 1)); continue; fi
    for real in "" -DCELCOMEN_DOUBLE; do
        for omp in "" -fopenmp; do
            if [ -n "$omp" ] && ! echo 'int main(void){return 0;}' | $cc $omp -x c - -o "$tmp/omp" 2> /dev/null; then
                echo "skipped: $cc has no OpenMP library"; skipped=$((skipped + 1)); continue; fi
            for std in c99 c11; do try $cc -std=$std -O1 $WARN $real $omp -I. -c "$tmp/w.c" -o "$tmp/w.o"; done
            for std in c++11 c++17; do try $cxx -std=$std -O1 $WARN $real $omp -I. -c "$tmp/w.cc" -o "$tmp/w.o"; done
        done
    done
    for static in "" -DCELCOMEN_STATIC; do
        for stdio in "" -DCELCOMEN_NO_STDIO; do
            for simd in "" -DCELCOMEN_NO_SIMD; do
                for real in "" -DCELCOMEN_DOUBLE; do
                    try $cc -std=c99 -O1 $WARN $static $stdio $simd $real -I. -c "$tmp/w.c" -o "$tmp/w.o"
                done
            done
        done
    done
    if echo '#include <cblas.h>' | $cc -x c -E - > /dev/null 2>&1; then
        for real in "" -DCELCOMEN_DOUBLE; do
            try $cc -std=c99 -O1 $WARN -DCELCOMEN_CBLAS $real -I. -c "$tmp/w.c" -o "$tmp/w.o"; done
    else echo "skipped: cblas.h not installed"; skipped=$((skipped + 1)); fi
done
echo "warn: $passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
