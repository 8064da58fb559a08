#!/bin/sh
# Embedding: several units, static units, C++, include order, exported names, forbidden imports, the README's program.
set -u
: "${CC:=cc}" "${CXX:=c++}"
B=$1 here=tests/embed
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0
check() {
    name=$1
    shift
    if "$@" > "$tmp/log" 2>&1; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $name"; head -20 "$tmp/log"; fi
}
W="-O1 -Wall -Wextra -Wpedantic -Werror -I."
build_two() { $CC -std=c99 $W $here/order.c $here/other.c -o "$tmp/two" -lm && "$tmp/two"; }
build_static() {
    $CC -std=c99 $W -DUNIT_MAIN -c $here/static.c -o "$tmp/s1.o" && $CC -std=c99 $W -c $here/static.c -o "$tmp/s2.o" &&
        $CC "$tmp/s1.o" "$tmp/s2.o" -o "$tmp/static" -lm && "$tmp/static"
}
build_cxx() {
    $CXX -std=c++11 $W -x c++ $here/order.c $here/other.c -o "$tmp/cxx" -lm 2>&1 || return 1
    "$tmp/cxx"
}
build_cxx_static() {
    $CXX -std=c++17 $W -x c++ -DUNIT_MAIN -c $here/static.c -o "$tmp/x1.o" && $CXX -std=c++17 $W -x c++ -c $here/static.c -o "$tmp/x2.o" &&
        $CXX "$tmp/x1.o" "$tmp/x2.o" -o "$tmp/xstatic" -lm && "$tmp/xstatic"
}
mixed() { # C implementation, C++ user
    $CC -std=c99 $W -c $here/order.c -o "$tmp/m1.o" && $CXX -std=c++11 $W -x c++ -c $here/other.c -o "$tmp/m2.o" &&
        $CXX "$tmp/m1.o" "$tmp/m2.o" -o "$tmp/mixed" -lm && "$tmp/mixed"
}
check "two units" build_two
check "two static units" build_static
if command -v "$CXX" > /dev/null; then
    check "two units as C++" build_cxx
    check "two static units as C++" build_cxx_static
    check "C implementation, C++ user" mixed
else echo "  skipped: $CXX not installed"; skipped=$((skipped + 1)); fi

# Every public struct zeroed in both languages; in C++17 those that begin with an enum are the hard ones.
zeroed() {
    awk -f $here/zero.awk celcomen.h > "$tmp/zero.c" && "$@" $W -DCELCOMEN_IMPLEMENTATION "$tmp/zero.c" -o "$tmp/zero" -lm && "$tmp/zero"
}
check "CEL_ZERO of every struct in C99" zeroed $CC -std=c99
if command -v "$CXX" > /dev/null; then check "CEL_ZERO of every struct in C++17" zeroed $CXX -x c++ -std=c++17
else echo "  skipped: $CXX not installed"; skipped=$((skipped + 1)); fi

# After the macros of other headers, which do not spare plain words, and before and after such headers themselves.
P7_other_headers_macros() {
    printf '#include "tests/embed/macros.h"\n#define CELCOMEN_IMPLEMENTATION\n#include "celcomen.h"\n' > "$tmp/macros.c"
    for how in "$CC -std=c99" "$CXX -x c++ -std=c++11"; do
        for real in "" -DCELCOMEN_DOUBLE; do
            $how $real -I. -fsyntax-only "$tmp/macros.c" || return 1
        done
    done
}
# Every header of the system that compiles by itself, all at once before the library and then after it. <term.h>, which
# defines hundreds of plain words (lines, columns), is left out.
P7_other_headers() {
    for h in aio arpa/inet assert complex ctype dirent dlfcn errno fcntl fenv float fnmatch ftw glob grp iconv iso646 \
        langinfo libgen limits locale malloc math netdb netinet/in poll pthread pwd regex sched search semaphore setjmp \
        signal stdalign stdarg stdbool stdint stdio stdlib string strings sys/ioctl sys/ipc sys/mman sys/param sys/queue \
        sys/resource sys/select sys/socket sys/stat sys/sysmacros sys/time sys/times sys/types sys/uio sys/un sys/utsname \
        sys/wait syslog termios time ucontext unistd utime wchar wctype windows curses X11/Xlib; do
        echo "#include <$h.h>" > "$tmp/h.c"
        $CC -D_GNU_SOURCE -fsyntax-only "$tmp/h.c" 2> /dev/null && echo "#include <$h.h>"
    done > "$tmp/all.h"
    [ "$(grep -c . "$tmp/all.h")" -ge 30 ] || return 1
    printf '#include "all.h"\n#define CELCOMEN_IMPLEMENTATION\n#include "celcomen.h"\n' > "$tmp/after.c"
    printf '#define CELCOMEN_IMPLEMENTATION\n#include "celcomen.h"\n#include "all.h"\n' > "$tmp/first.c"
    for f in after first; do $CC -D_GNU_SOURCE -I. -I"$tmp" -Wall -Wextra -c "$tmp/$f.c" -o "$tmp/h.o" || return 1; done
}
# The implementation brings no name of <unistd.h> into the file.
P16_no_names_of_unistd() {
    [ "$(uname)" = Linux ] || return 0
    printf '#define CELCOMEN_IMPLEMENTATION\n#include "celcomen.h"\nstatic int pipe(int a) { return a; }\nstatic int link(int a) { return pipe(a); }\nint access(int a);\nint access(int a) { return link(a); }\n' > "$tmp/pipe.c"
    for how in "$CC -std=c99" "$CC -std=gnu99"; do $how $W -c "$tmp/pipe.c" -o "$tmp/pipe.o" || return 1; done
}
# A C library whose fopen knows no "x": msvcrt.
P8_fopen_without_x() {
    cat > "$tmp/x.c" << 'EOC'
#include <errno.h>
#include <stdio.h>
#include <string.h>
static FILE *old_fopen(const char *p, const char *m)
{
    if (strspn(m, "rwatb+") != strlen(m)) return NULL;
    return fopen(p, m);
}
#define fopen old_fopen
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"
int main(int argc, char **argv) { return argc < 2 || cel_file_write(argv[1], "hello", 5, NULL); }
EOC
    $CC -I. "$tmp/x.c" -o "$tmp/x" -lm && "$tmp/x" "$tmp/x.txt" && "$tmp/x" "$tmp/x.txt" && [ "$(cat "$tmp/x.txt")" = hello ]
}
# Every function that can fail is called by the program that refuses allocations one by one.
allocation_list() {
    awk '/Stop here if you only/ { exit } { print }' celcomen.h | grep -oE 'CEL_API cel_status cel_[a-z0-9_]+' | sed 's/.* //' | sort -u > "$tmp/fallible"
    [ "$(grep -c . "$tmp/fallible")" -gt 90 ] || return 1
    while read -r f; do grep -qw "$f" tests/alloc.c || echo "$f is not in tests/alloc.c"; done < "$tmp/fallible" > "$tmp/lacking"
    cat "$tmp/lacking"
    [ ! -s "$tmp/lacking" ]
}
check "every fallible function is refused memory" allocation_list
check "P7 macros of other headers" P7_other_headers_macros
check "P7 other headers before and after" P7_other_headers
check "P8 fopen without x" P8_fopen_without_x
check "P16 no names of unistd.h" P16_no_names_of_unistd

# A compiler that optimises nothing and knows no vectors: it links, and it computes the same bits as the other's plain C.
build_tcc() { tcc -I. $here/order.c $here/other.c -o "$tmp/tcc" -lm && "$tmp/tcc"; }
bits_tcc() {
    tcc -I. $here/bits.c -o "$tmp/bits_tcc" -lm && $CC -std=c99 -O2 -DCELCOMEN_NO_SIMD -I. $here/bits.c -o "$tmp/bits_plain" -lm &&
        "$tmp/bits_tcc" > "$tmp/of_tcc" && "$tmp/bits_plain" > "$tmp/of_plain" && [ -s "$tmp/of_tcc" ] && diff "$tmp/of_tcc" "$tmp/of_plain"
}
if command -v tcc > /dev/null; then
    check "two units, tcc" build_tcc
    check "tcc computes the same bits" bits_tcc
else echo "  skipped: tcc not installed"; skipped=$((skipped + 2)); fi

exports_prefixed() {
    $CC -std=c99 $W -c tests/impl.c -o "$tmp/impl.o" || return 1
    ! nm -g --defined-only "$tmp/impl.o" | awk 'NF == 3 { print $3 }' | grep -vE '^(cel|celcomen)_'
}
one_mutable() { # at most the cache of the kernel level; constant tables of pointers need relocation, so no PIC here
    $CC -std=c99 $W -fno-pic -fno-pie -c tests/impl.c -o "$tmp/data.o" || return 1
    n=$(nm "$tmp/data.o" | awk '$2 ~ /^[bBdD]$/' | tee /dev/stderr | wc -l)
    [ "$n" -le 1 ]
}
no_exit() { ! nm -u "$tmp/impl.o" | awk '{ print $2 }' | sed 's/@.*//' | grep -xE 'exit|abort|printf|puts|fprintf|__errno_location|setlocale|perror'; }
no_stdio() {
    $CC -std=c99 $W -DCELCOMEN_NO_STDIO -c tests/impl.c -o "$tmp/nostdio.o" || return 1
    ! nm -u "$tmp/nostdio.o" | awk '{ print $2 }' | grep -E '^(fopen|fread|fwrite|fclose|rename|remove|mmap|open)'
}
# Two files of different number types: the linker refuses, and says which is missing.
double_mismatch() {
    for real in "" -DCELCOMEN_DOUBLE; do
        other=-DCELCOMEN_DOUBLE
        [ -z "$real" ] || other=
        for level in -O0 -O2; do
            $CC -std=c99 $level -I. $real -c $here/order.c -o "$tmp/d1.o" && $CC -std=c99 $level -I. $other -c $here/other.c -o "$tmp/d2.o" || return 1
            if $CC "$tmp/d1.o" "$tmp/d2.o" -o "$tmp/mismatch" -lm 2> "$tmp/link"; then return 1; fi
            grep cel_real_is_ "$tmp/link" || return 1
        done
    done
}
H18_misspelt_level() { # shows as scalar; the known names are obeyed, and nothing means the best
    printf '#define CELCOMEN_IMPLEMENTATION\n#include "celcomen.h"\nint main(void) { puts(cel_level_name(cel_level_get())); return 0; }\n' > "$tmp/level.c"
    $CC -std=c99 -I. "$tmp/level.c" -o "$tmp/level" -lm || return 1
    [ "$(CELCOMEN_LEVEL=avx "$tmp/level")" = scalar ] && [ "$(CELCOMEN_LEVEL=AVX2 "$tmp/level")" = scalar ] &&
        [ "$(CELCOMEN_LEVEL=scalar "$tmp/level")" = scalar ] && [ "$(CELCOMEN_LEVEL= "$tmp/level")" = "$(CELCOMEN_LEVEL=avx512 "$tmp/level")" ]
}
H21_huge_pages_in_c99() { [ "$(uname)" != Linux ] || nm -u "$tmp/impl.o" | grep -qw madvise; }
H25_no_lgamma() { ! nm -u "$tmp/impl.o" | grep -w lgamma; }
small_static() { ! $CC -std=c99 -O1 -DCELCOMEN_STATIC -I. -c tests/impl.c -o "$tmp/st.o" || ! nm -g --defined-only "$tmp/st.o" | grep .; }
fast_math_refused() { ! $CC -std=c99 -O2 -ffast-math -I. -c tests/impl.c -o "$tmp/fm.o"; }
check "exported names begin with cel_ or celcomen_" exports_prefixed
exports_wanted() { # a shared library that shows nothing but what CEL_API says
    $CC -O0 -fPIC -shared -fvisibility=hidden '-DCEL_API=extern __attribute__((visibility("default")))' -I. tests/impl.c -o "$tmp/shown.so" -lm &&
        [ "$(nm -D --defined-only "$tmp/shown.so" | grep -c ' T cel_')" -gt 100 ] && ! nm -D --defined-only "$tmp/shown.so" | grep celi_
}
check "CEL_API exports" exports_wanted
check "at most one mutable datum" one_mutable
check "no exit, printf or errno" no_exit
check "CELCOMEN_NO_STDIO opens nothing" no_stdio
check "CELCOMEN_DOUBLE in one file only does not link" double_mismatch
check "H18 a misspelt level" H18_misspelt_level
check "H21 huge pages in C99" H21_huge_pages_in_c99
check "P5 H25 no lgamma" H25_no_lgamma
check "CELCOMEN_STATIC exports nothing" small_static
check "-ffast-math is refused" fast_math_refused

same_bits() { # -std=c99 and -std=gnu99, one thread and two
    for std in c99 gnu99; do
        $CC -std=$std -O2 $OMP -I. $here/bits.c -o "$tmp/bits_$std" -lm || return 1
        for t in 1 2; do OMP_NUM_THREADS=$t "$tmp/bits_$std" > "$tmp/bits_${std}_$t" || return 1; done
    done
    cat "$tmp/bits_c99_1"
    cmp "$tmp/bits_c99_1" "$tmp/bits_c99_2" && cmp "$tmp/bits_c99_1" "$tmp/bits_gnu99_1" && cmp "$tmp/bits_gnu99_1" "$tmp/bits_gnu99_2"
}
OMP=""
echo 'int main(void){return 0;}' | $CC -fopenmp -x c - -o "$tmp/omp" 2> /dev/null && OMP=-fopenmp
check "same bits for c99 and gnu99, 1 and 2 threads" same_bits

# H21: large blocks ask for huge pages whatever -std says (0.1.0 did so under gnu99 only).
H21_huge_pages() {
    printf '#define CELCOMEN_IMPLEMENTATION\n#include "celcomen.h"\n' > "$tmp/pages.c"
    for std in c99 gnu99; do
        $CC -std=$std -O0 -I. -c "$tmp/pages.c" -o "$tmp/pages_$std.o" || return 1
        nm -u "$tmp/pages_$std.o" | grep -c madvise > "$tmp/pages_$std"
    done
    cmp "$tmp/pages_c99" "$tmp/pages_gnu99"
}
check "H21: huge pages under every -std" H21_huge_pages

# The programs shown in the README compile and run.
readme() {
    awk '/^```c$/ { n++; f = 1; next } /^```/ { f = 0 } f { print > sprintf("'"$tmp"'/readme%d.c", n) }' README.md
    [ -f "$tmp/readme1.c" ] || return 1
    "$B/celcomen" plant --quiet --n-genes 5 --side 20 --out "$tmp" || return 1
    "$B/celcomen" simulate --quiet --orthant --sweeps 20 --inter "$tmp/inter.npy" --intra "$tmp/intra.npy" --coords "$tmp/coords.npy" --out "$tmp/t" || return 1
    cp "$tmp/t/expression.npy" "$tmp/counts.npy"
    for f in "$tmp"/readme*.c; do
        $CC -std=c99 -O2 -Wall -Wextra -Werror -I. "$f" -o "$f.bin" -lm || return 1
        (cd "$tmp" && "$f.bin") || return 1
    done
}
check "the README's programs" readme
# The first of them on every slide that there is.
readme_slides() {
    $CC -std=c99 -O2 $OMP -I. "$tmp/readme1.c" -o "$tmp/readme_slide" -lm || return 1
    for d in "${CELCOMEN_SHARED:-../shared}"/data/*/; do
        [ -f "$d/counts.npy" ] && [ -f "$d/coords.npy" ] || continue
        (cd "$d" && "$tmp/readme_slide") > "$tmp/readme_out" || { echo "$d"; cat "$tmp/readme_out"; return 1; }
        grep -q 'cells, [0-9]* genes' "$tmp/readme_out" || return 1
    done
}
if [ -d "${CELCOMEN_SHARED:-../shared}/data" ]; then check "the README's program on every slide" readme_slides; else
    echo "  skipped: no slides"; skipped=$((skipped + 1)); fi
first_lines() { head -15 celcomen.h | grep -q CELCOMEN_IMPLEMENTATION && tail -30 celcomen.h | grep -q 'MIT License' && ! LC_ALL=C grep -nP '[^\x00-\x7F]' celcomen.h; }
check "the recipe first, the licence last, ASCII" first_lines
versions() { # of the first line, the macro, the citation, and the newest of "What changed"
    v=$(sed -n 's/^#define CELCOMEN_VERSION "\(.*\)"/\1/p' celcomen.h)
    head -1 celcomen.h | grep -qF "celcomen.h - $v -" && grep -qx "version: $v" README.md && [ "$(sed -n 's/^## What changed in //p' README.md | head -1)" = "$v" ]
}
check "one version" versions
install_works() { make -s install PREFIX="$tmp/prefix" && [ -f "$tmp/prefix/include/celcomen.h" ] && [ -f "$tmp/prefix/lib/pkgconfig/celcomen.pc" ]; }
check "make install" install_works
# A project that finds what was installed: by pkg-config and by CMake.
installed_flags() {
    flags=$(PKG_CONFIG_PATH="$tmp/prefix/lib/pkgconfig" pkg-config --cflags --libs celcomen) &&
        $CC -std=c99 $here/order.c $here/other.c $flags -o "$tmp/found" && "$tmp/found"
}
installed_target() {
    mkdir -p "$tmp/project" && cp $here/order.c $here/other.c $here/use.h "$tmp/project" && cat > "$tmp/project/CMakeLists.txt" <<'P' || return 1
cmake_minimum_required(VERSION 3.13)
project(found C)
find_package(celcomen REQUIRED)
add_executable(found order.c other.c)
target_link_libraries(found PRIVATE celcomen::celcomen)
P
    cmake -S "$tmp/project" -B "$tmp/project/build" -DCMAKE_PREFIX_PATH="$tmp/prefix" && cmake --build "$tmp/project/build" && "$tmp/project/build/found"
}
for how in "pkg-config installed_flags" "cmake installed_target"; do
    if command -v "${how% *}" > /dev/null; then check "${how% *} finds it" "${how#* }"; else
        echo "  skipped: ${how% *} not installed"; skipped=$((skipped + 1)); fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
