#!/bin/sh
# WebAssembly in node: plain, plain with the compiler's own vectors, and the kernels of simd128.   sh bench/wasm.sh [FLAGS]
set -eu
cd "$(dirname "$0")/.."
command -v emcc > /dev/null && command -v node > /dev/null || { echo "skipped: emscripten or node not installed"; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export NODE_PATH=${NODE_PATH:-/usr/share/nodejs}
echo "build,level,gemm 256 GFLOP/s,symmetric GFLOP/s,sparse GB/s,dot G/s,eigen 256 ms,normals M/s,fit ms,3 sweeps ms"
for build in "-DCELCOMEN_NO_SIMD" "-msimd128 -DCELCOMEN_NO_SIMD" "-msimd128"; do
    # shellcheck disable=SC2086
    emcc -O3 $build "$@" -s ALLOW_MEMORY_GROWTH=1 -s INITIAL_MEMORY=256MB -I. bench/wasm.c -o "$dir/a.js" 2> /dev/null
    echo "$build,$(cd "$dir" && node --no-experimental-fetch a.js)"
done
