#!/bin/sh
# The sanitizers that `make test` has no time for: clang's for memory that nobody has written and for threads, helgrind,
# valgrind. ASan and UBSan, of gcc and of clang, are in `make test` (and alone in `make san`).
#     sh tests/sanitize.sh BUILD [long]       the quick suites, or all of them
# Threads are looked at in two ways: two threads of the caller's own, each with a model (tests/embed/bits.c twice), which
# may share nothing; and the library's own under OpenMP. For the latter ThreadSanitizer needs archer, which tells it of
# libomp's barriers: without it every parallel loop would be reported. helgrind cannot see the barriers of either OpenMP
# (they are futexes), so it is given a build without.
set -u
B=$1 how=${2:-short}
mkdir -p "$B"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0 skipped=0
quick="base dense sparse tissue rows model moments keep optimum perturb robust"
[ "$how" = short ] || quick="$quick files tables score chosen counting shifts published sampler likelihood golden"
files="tests/impl.c tests/run.c"
printf '#define SUITES(X)' > "$dir/suites.h"
for s in $quick; do printf ' X(%s)' "$s" >> "$dir/suites.h"; files="$files tests/test_$s.c"; done
echo >> "$dir/suites.h"
skip() { echo "  skipped: $*"; skipped=$((skipped + 1)); }
built() { # FLAGS OUT FILES: where this compiler has this sanitizer, and it compiles
    echo 'int main(void) { return 0; }' | $cc $1 -x c - -o "$dir/probe" 2> /dev/null && "$dir/probe" || return 1
    # shellcheck disable=SC2086
    $cc $1 -g -O1 -std=gnu99 -I. -Itests -include "$dir/suites.h" $3 -o "$2" -lm -lpthread 2> "$dir/log" || { head "$dir/log"; return 1; }
}
look() { # NAME PATTERN COMMAND...: what a finding looks like, and what to run
    name=$1 pattern=$2
    shift 2
    "$@" > "$dir/log" 2>&1
    status=$?
    n=$(grep -cE "$pattern" "$dir/log")
    if [ "$n" -eq 0 ] && [ $status -eq 0 ]; then passed=$((passed + 1)); else
        failed=$((failed + 1)); grep -vE 'ok|skipped' "$dir/log" | head -40; fi
    echo "  $name: $n findings, exit status $status; $(grep -E '^[0-9]+ passed' "$dir/log" | tail -1)"
}
cat > "$dir/two.c" <<'C'
/* Two threads of the caller's own, each with tissues and models of its own. */
#define main bits_main
#define BITS_SIDE 12
#define BITS_GENES 7
#include "tests/embed/bits.c"
#undef main
#include <pthread.h>
static void *job(void *p) { *(int *)p = bits_main(); return NULL; }
int main(void)
{
    pthread_t t[2];
    int bad[2] = {1, 1}, i;
#ifdef CHOSEN /* helgrind knows nothing of atomics, by which the kernels' level is kept once it was asked of the processor */
    cel_level_get();
#endif
    for (i = 0; i < 2; i++) pthread_create(t + i, NULL, job, bad + i);
    for (i = 0; i < 2; i++) pthread_join(t[i], NULL);
    return bad[0] | bad[1];
}
C
export OMP_NUM_THREADS=2 TSAN_OPTIONS="ignore_noninstrumented_modules=1 exitcode=66"
cc=clang
if ! command -v clang > /dev/null; then skip "clang not installed"; else
    # It sees only what is compiled with it: all but the C library's own, whose calls it knows.
    if built -fsanitize=memory "$dir/msan" "$files"; then
        look "MSan, suites" "WARNING: MemorySanitizer" "$dir/msan" --brief
    else skip "MSan"; fi
    if built -fsanitize=thread "$dir/two" "$dir/two.c"; then
        look "TSan, two callers" "WARNING: ThreadSanitizer" "$dir/two"
    else skip "TSan"; fi
    OMP_TOOL_LIBRARIES=$(ls /usr/lib/llvm-*/lib/libarcher.so 2> /dev/null | tail -1)
    export OMP_TOOL_LIBRARIES
    if [ -n "$OMP_TOOL_LIBRARIES" ] && built "-fsanitize=thread -fopenmp" "$dir/tsan" "$files"; then
        look "TSan with OpenMP, suites" "WARNING: ThreadSanitizer" "$dir/tsan" --brief
    else skip "TSan with OpenMP: no archer, which libomp-dev has"; fi
fi
cc=gcc
if ! command -v valgrind > /dev/null; then skip "valgrind not installed"; else
    # valgrind knows no AVX-512, and reports nothing of what it skips: the plain kernels and AVX2, as the machine gives.
    if built -DCHOSEN "$dir/two" "$dir/two.c"; then
        look "helgrind, two callers" "Possible data race|lock order" valgrind --tool=helgrind -q --error-exitcode=9 "$dir/two"
    fi
    if [ "$how" = short ]; then skip "valgrind: in \`make test\`"; elif built "" "$dir/plain" "$files"; then
        look "valgrind, suites" "^==[0-9]+== (Invalid|Conditional|Use of|[0-9,]+ bytes in)" valgrind -q --error-exitcode=9 --leak-check=full \
            --errors-for-leak-kinds=definite --show-leak-kinds=definite "$dir/plain" --brief
    fi
fi
echo "sanitizers: $failed of $((passed + failed)) have something to say"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
