#!/bin/sh
# Makes $1/playground.html: page.html with celcomen.h in it as WebAssembly. Usage: build.sh BUILD_FOLDER, from the top.
# Objects first, then the linker by itself: clang as a linker would run a wasm-opt that happens to be installed.
set -eu
B=$1 here=examples/playground
: "${WASM_CC:=clang}" "${WASM_LD:=wasm-ld}"
for tool in "$WASM_CC" "$WASM_LD"; do
    command -v "$tool" > /dev/null || { echo "skipped: $tool not installed (Debian: clang, lld)"; exit 0; }
done
for part in playground libc/libc; do
    "$WASM_CC" --target=wasm32 -O2 -mbulk-memory -std=c99 -Wall -Wextra -ffreestanding -I$here/libc -I. \
        -c $here/$part.c -o "$B/wasm_$(basename $part).o"
done
"$WASM_LD" --no-entry --gc-sections --strip-all -z stack-size=1048576 \
    "$B/wasm_playground.o" "$B/wasm_libc.o" -o "$B/playground.wasm"
base64 -w 0 "$B/playground.wasm" > "$B/playground.base64"
awk 'NR == FNR { module = $0; next } { i = index($0, "@MODULE@") }
     i { $0 = substr($0, 1, i - 1) module substr($0, i + 8) } 1' "$B/playground.base64" $here/page.html > "$B/playground.html"
echo "$B/playground.html: open it in a browser ($(wc -c < "$B/playground.wasm") bytes of WebAssembly)"
