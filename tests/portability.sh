#!/bin/sh
# The header under every compiler and machine that is installed: what runs, what is skipped, and the same bits.
#     sh tests/portability.sh          minutes: a build a target, the quick suites
#     sh tests/portability.sh long     every suite, both number types, every option
#     sh tests/portability.sh short suites     one of its parts: bits, switches, suites, tool, wasm
# Debian's packages: clang tcc musl-tools qemu-user gcc-i686-linux-gnu gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf
# gcc-riscv64-linux-gnu gcc-s390x-linux-gnu gcc-powerpc64-linux-gnu gcc-mips-linux-gnu gcc-mingw-w64-x86-64 wine64
# emscripten nodejs libopenblas-dev, and libc6-dev-*-cross beside the cross compilers.
set -u
how=${1:-short} part=${2:-all}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0 suites_passed=0
pass() { echo "  ok: $*"; passed=$((passed + 1)); }
fail() { echo "FAILED: $*"; head -20 "$tmp/log"; failed=$((failed + 1)); }
skip() { echo "  skipped: $*"; skipped=$((skipped + 1)); }
have() { command -v "${1%% *}" > /dev/null; }
check() { # NAME COMMAND...
    name=$1
    shift
    if "$@" > "$tmp/log" 2>&1; then pass "$name"; else fail "$name"; fi
}

# ---- the same bits at the scalar level: compilers, optimisation, C and C++, threads ----
bits() { # NAME COMPILER AND OPTIONS
    have "$2" || { skip "$2 not installed"; return; }
    # shellcheck disable=SC2086
    if ! $2 -I. tests/embed/bits.c -o "$tmp/bits" -lm > "$tmp/log" 2>&1; then fail "$1: does not compile"; return; fi
    if ! CELCOMEN_LEVEL=scalar "$tmp/bits" > "$tmp/of" 2> "$tmp/log"; then fail "$1: does not run"; return; fi
    [ -f "$tmp/bits_$3" ] || cp "$tmp/of" "$tmp/bits_$3"
    check "$1: the same bits" diff "$tmp/bits_$3" "$tmp/of"
}
wanted() { [ "$part" = all ] || [ "$part" = "$1" ]; }

part_bits() {
echo "== the same bits, scalar"
bits "gcc -O2" "gcc -std=c99 -O2" float
for options in "-std=c99 -O0" "-std=gnu11 -O3" "-std=c99 -Os -funsigned-char -fshort-enums" "-std=gnu99 -O1 -DCELCOMEN_NO_SIMD"; do bits "gcc $options" "gcc $options" float; done
bits "g++ -std=c++11 -O2" "g++ -x c++ -std=c++11 -O2" float
bits "clang -O2" "clang -O2" float
bits "clang++ -std=c++20 -O1" "clang++ -x c++ -std=c++20 -O1" float
bits "tcc" tcc float
if [ "$how" = long ]; then
    for options in "-std=c99 -O1" "-std=gnu99 -O2" "-std=c2x -O3" "-std=c11 -O2 -flto" "-Os" "-O2 -fno-strict-aliasing -fwrapv" "-O3 -funroll-loops" "-O2 -fpack-struct=8" "-O2 -fopenmp"; do
        bits "gcc $options" "gcc $options" float
        bits "gcc $options, double" "gcc -DCELCOMEN_DOUBLE $options" double
    done
    for std in c++11 c++17 c++20 c++23; do bits "g++ -std=$std -O2" "g++ -x c++ -std=$std -O2" float; done
    for options in "-O0" "-O1" "-O3" "-Os" "-O2 -ffp-contract=on"; do
        bits "clang $options" "clang $options" float
        bits "clang $options, double" "clang -DCELCOMEN_DOUBLE $options" double
    done
    bits "tcc, double" "tcc -DCELCOMEN_DOUBLE" double
fi

check "P6 gcc and clang, the vector levels, 1 to 8 threads: the same bits" levels
check "-march=native" native
}

# P6: a compiler that contracts and one that does not; the vector levels; one thread to eight.
levels() {
    for cc in gcc "gcc -std=c99" clang; do
        have "$cc" || continue
        omp=-fopenmp
        echo 'int main(void) { return 0; }' | $cc -fopenmp -x c - -o "$tmp/omp" 2> /dev/null || omp=
        $cc -O2 $omp -I. tests/embed/bits.c -o "$tmp/levels" -lm || return 1
        for level in avx2 avx512 neon; do
            for threads in 1 2 3 8; do
                CELCOMEN_LEVEL=$level OMP_NUM_THREADS=$threads OMP_WAIT_POLICY=passive "$tmp/levels" > "$tmp/of" || return 1
                [ -f "$tmp/level_$level" ] || cp "$tmp/of" "$tmp/level_$level"
                cmp "$tmp/of" "$tmp/level_$level" || { echo "$cc $level $threads threads"; return 1; }
            done
        done
    done
}
native() { # -march=native lets compilers fuse where the text does not say so: results stay right, bits are the build's own
    gcc -march=native -O2 -I. tests/embed/bits.c -o "$tmp/native" -lm && "$tmp/native" | grep -q ascent
}
if wanted bits; then part_bits; fi

# ---- every combination of the switches compiles ----
switches() {
    printf '#define CELCOMEN_IMPLEMENTATION\n#include "celcomen.h"\nint main(void) { return cel_threads() < 1; }\n' > "$tmp/s.c"
    malloc="-DCELCOMEN_MALLOC(s)=malloc(s) -DCELCOMEN_REALLOC(p,s)=realloc(p,s) -DCELCOMEN_FREE(p)=free(p) -include stdlib.h"
    for real in "" -DCELCOMEN_DOUBLE; do for static in "" -DCELCOMEN_STATIC; do for stdio in "" -DCELCOMEN_NO_STDIO; do
    for simd in "" -DCELCOMEN_NO_SIMD; do for memory in "" "$malloc"; do
        $1 -I. $real $static $stdio $simd $memory "$tmp/s.c" $2 || return 1
    done; done; done; done; done
}

# ---- what MSVC's C compiler rejects ----
msvc() { # clang as that compiler, on declarations of the C library alone; no GNU extension, no array of variable length
    mkdir -p "$tmp/msvc" && sh tests/embed/msvc.sh "$tmp/msvc" || return 1
    for real in "" -DCELCOMEN_DOUBLE; do
        for language in "-x c -std=c11" "-x c++ -std=c++14"; do
            clang --target=x86_64-pc-windows-msvc -U__clang__ -U__GNUC__ -fms-extensions -fms-compatibility-version=19.29 \
                -nostdinc -isystem "$tmp/msvc" -Werror=vla -Werror=gnu -Wno-everything -fsyntax-only -I. $real $language "$tmp/s.c" || return 1
        done
    done
}
part_switches() {
    echo "== switches"
    check "32 combinations, gcc" switches "gcc -Wall -Wextra -fsyntax-only" ""
    if have tcc; then check "32 combinations, tcc" switches "tcc -Wall -c" "-o $tmp/s.o"; else skip "tcc not installed"; fi
    if have clang; then check "P8 as MSVC's C compiler reads it (clang in its place)" msvc; else skip "clang not installed"; fi
}
if wanted switches; then part_switches; fi

# ---- suites on other machines ----
quick="base dense sparse files tissue model robust"
all="base dense sparse files tables tissue rows model moments keep score chosen shifts counting published sampler optimum likelihood perturb golden slides robust"
suites() { # NAME COMPILER OPTIONS RUNNER SUITES
    have "$2" || { skip "$2 not installed ($1)"; return; }
    [ -z "$4" ] || have "$4" || { skip "$4 not installed ($1)"; return; }
    list=$5
    [ "$how" = short ] || list=$6
    files=tests/impl.c macro="SUITES(X)="
    out=$tmp/suites
    [ "$2" != emcc ] || out=$tmp/suites.js
    for s in $list; do files="$files tests/test_$s.c" macro="$macro X($s)"; done
    # shellcheck disable=SC2086
    if ! $2 $3 -O1 -std=gnu99 -I. -Itests "-D$macro" tests/run.c $files -o "$out" ${LIBS:-} -lm > "$tmp/log" 2>&1; then
        fail "$1: does not compile"; return; fi
    # shellcheck disable=SC2086
    WINEDEBUG=-all $4 "$out" --brief > "$tmp/log" 2>&1
    line=$(tr -d '\r' < "$tmp/log" | grep -E '^[0-9]+ passed, 0 failed' | tail -1)
    if [ -z "$line" ]; then grep -aE 'FAILED|failed' "$tmp/log" | head -20 > "$tmp/log2"; [ ! -s "$tmp/log2" ] || mv "$tmp/log2" "$tmp/log"; fail "$1"; return; fi
    suites_passed=$((suites_passed + $(echo $list | wc -w)))
    pass "$1: $(echo $list | wc -w) suites, $line"
}
reals="-DCELCOMEN_FLOAT"
[ "$how" = short ] || reals="-DCELCOMEN_FLOAT -DCELCOMEN_DOUBLE"
wine=wine64
have wine64 || [ ! -x /usr/lib/wine/wine64 ] || wine=/usr/lib/wine/wine64
long="base dense sparse files tissue rows model moments keep robust published optimum"
part_suites() {
echo "== suites"
# A 32-bit program's readdir fails on the file numbers of a 64-bit file system, unless told that they may be large.
files64=-D_FILE_OFFSET_BITS=64
for real in $reals; do
    LIBS=-lopenblas suites "CBLAS $real" gcc "-DCELCOMEN_CBLAS $real" "" "dense moments" "$all"
    suites "musl, static $real" musl-gcc "-static $real" "" "$quick" "$all"
    suites "i686, x87 $real" i686-linux-gnu-gcc "-static $files64 -mno-sse -mfpmath=387 $real" qemu-i386 "base tissue robust" "$long"
    suites "i686, SSE $real" i686-linux-gnu-gcc "-static $files64 -msse2 -mfpmath=sse $real" qemu-i386 "base tissue robust" "$long"
    suites "aarch64, NEON $real" aarch64-linux-gnu-gcc "-static $real" qemu-aarch64 "base dense robust" "$long score sampler perturb"
    suites "armhf $real" arm-linux-gnueabihf-gcc "-static $files64 $real" qemu-arm "base robust" "$long"
    suites "riscv64 $real" riscv64-linux-gnu-gcc "-static $real" qemu-riscv64 "base robust" "$long"
    suites "s390x, big-endian $real" s390x-linux-gnu-gcc "-static $real" qemu-s390x "base files robust" "$long"
    suites "ppc64, big-endian $real" powerpc64-linux-gnu-gcc "-static $real" qemu-ppc64 "base files" "$long"
    suites "mips, 32 bits, big-endian $real" mips-linux-gnu-gcc "-static $files64 $real" qemu-mips "base files" "$long"
    suites "Windows by MinGW $real" x86_64-w64-mingw32-gcc "-include tests/embed/windows_test.h $real" $wine \
        "base dense sparse tissue robust" "base dense sparse tables tissue rows model moments score published sampler optimum perturb robust"
done
}
if wanted suites; then part_suites; fi

# R17: the tool on Windows writes what it writes here, twice into one folder.
tool_on_windows() {
    x86_64-w64-mingw32-gcc -O1 -I. examples/celcomen.c -o "$tmp/celcomen.exe" -lm && gcc -O1 -I. examples/celcomen.c -o "$tmp/celcomen" -lm || return 1
    (cd "$tmp" && for run in 1 2; do WINEDEBUG=-all $wine ./celcomen.exe plant --n-genes 5 --side 12 --seed 3 --quiet --out wine || return 1; done
        ./celcomen plant --n-genes 5 --side 12 --seed 3 --quiet --out here && cmp wine/coords.npy here/coords.npy &&
        WINEDEBUG=-all $wine ./celcomen.exe simulate --intra wine/intra.npy --inter wine/inter.npy --coords wine/coords.npy --sweeps 10 --quiet --out tissue &&
        WINEDEBUG=-all $wine ./celcomen.exe fit --expression tissue/expression.npy --coords wine/coords.npy --quiet --out model && ls model/model.npz)
}
if ! wanted tool; then :; elif have x86_64-w64-mingw32-gcc && have $wine; then check "R17 the tool on Windows" tool_on_windows; else skip "MinGW or wine not installed (the tool)"; fi

# WebAssembly in node, plain and with simd128: the bits program runs, and the suites. (Debian's emcc looks for its modules
# where only Debian's own node looks by itself; it says that it fills its cache, which is no fault.)
wasm() {
    emcc -O1 -s ALLOW_MEMORY_GROWTH=1 -I. $1 tests/embed/bits.c -o "$tmp/bits.js" && (cd "$tmp" && node --no-experimental-fetch bits.js) > "$tmp/wasm" &&
        grep -q ascent "$tmp/wasm"
}
part_wasm() {
    if ! have emcc || ! have node; then skip "emscripten or node not installed"; return; fi
    export NODE_PATH=${NODE_PATH:-/usr/share/nodejs}
    for simd in "" "-msimd128"; do
        check "WebAssembly in node $simd" wasm "$simd"
        for real in $reals; do
            suites "WebAssembly $simd $real" emcc "$simd $real -s ALLOW_MEMORY_GROWTH=1 -s INITIAL_MEMORY=128MB -s EXIT_RUNTIME=1" "node --no-experimental-fetch" \
                "base dense sparse tissue model moments robust" "base dense sparse tissue model moments score published sampler optimum perturb robust"
        done
    done
}
if wanted wasm; then part_wasm; fi

echo "portability: $suites_passed suites elsewhere"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
