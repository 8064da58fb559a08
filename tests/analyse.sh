#!/bin/sh
# gcc -fanalyzer, clang --analyze and cppcheck over the implementation: what each says, and the number of findings.
# Suppressed, because what they say of this file was looked at and is not so:
#   cppcheck invalidFunctionArg           a logarithm of a sum that holds its largest term, hence is not 0
#            incorrectLogicOperator       x >= 0 || x < 0 is how the file asks whether x is no NaN
#            invalidPointerCast           one block of memory holds doubles, then reals
#            uninit*                      what a loop of at least one round, or a successful call, has set; valgrind and
#                                         clang --analyze, which follow values, have nothing to say
#   clang-tidy not-null-terminated-result bytes that are no C strings
#            integer-division             halves of whole numbers, meant so
#            misplaced-widening-cast      lengths of a compressed stream, below 2^16
#            suspicious-string-compare    strcmp(..) as "differs"
#            sizeof-expression            the number of pointers in an array of them
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf '#define CELCOMEN_IMPLEMENTATION\n#include "celcomen.h"\n' > "$dir/a.c"
passed=0 failed=0 skipped=0 findings=0
say() { # NAME: what its log holds
    n=$(grep -cE '(warning|error):' "$dir/log")
    findings=$((findings + n))
    if [ "$n" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); grep -E '(warning|error):' "$dir/log" | head -20; fi
    echo "  $1: $n findings"
}
lacks() { command -v "$1" > /dev/null && return 1; echo "  skipped: $1 not installed"; skipped=$((skipped + 1)); }
if ! lacks clang; then
    clang --analyze -Xclang -analyzer-output=text -DCELCOMEN_NO_SIMD -I. "$dir/a.c" -o "$dir/out" > "$dir/log" 2>&1
    say "clang --analyze"
fi
if ! lacks cppcheck; then
    cppcheck --quiet --enable=warning,portability --inline-suppr --std=c99 -DCELCOMEN_IMPLEMENTATION -DCELCOMEN_NO_SIMD \
        --suppress=missingIncludeSystem --suppress=invalidFunctionArg --suppress=incorrectLogicOperator \
        --suppress=invalidPointerCast --suppress=uninitvar --suppress=uninitStructMember --suppress=ctuuninitvar --template='{file}:{line}: warning: {id}: {message}' -x c celcomen.h > "$dir/log" 2>&1
    say cppcheck
fi
if ! lacks clang-tidy; then
    clang-tidy --quiet --checks='-*,bugprone-*,cert-*,-bugprone-easily-swappable-parameters,-bugprone-narrowing-conversions,-bugprone-macro-parentheses,-cert-dcl37-c,-cert-dcl51-cpp,-bugprone-reserved-identifier,-bugprone-implicit-widening-of-multiplication-result,-cert-err33-c,-bugprone-assignment-in-if-condition,-cert-flp30-c,-bugprone-branch-clone,-bugprone-not-null-terminated-result,-bugprone-integer-division,-bugprone-misplaced-widening-cast,-bugprone-suspicious-string-compare,-cert-str*,-bugprone-sizeof-expression' \
        --header-filter='celcomen.h' "$dir/a.c" -- -I. -DCELCOMEN_NO_SIMD > "$dir/log" 2>/dev/null
    say clang-tidy
fi
if ! lacks gcc && [ "${1:-}" = long ]; then # gcc 12 gives up on long functions quietly; minutes
    gcc -fanalyzer -O1 -DCELCOMEN_NO_SIMD -I. -c "$dir/a.c" -o "$dir/a.o" > "$dir/log" 2>&1
    say "gcc -fanalyzer"
fi
echo "analysers: $findings findings"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
