#!/bin/sh
# Builds the playground into $1 and drives it in a headless Chromium: tests/playground.py.
set -u
B=$1
skip() { echo "  skipped: $1 not installed"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
for tool in clang wasm-ld python3; do command -v $tool > /dev/null || skip $tool; done
sh examples/playground/build.sh "$B" || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }
if [ -x /usr/bin/python3 ]; then python=/usr/bin/python3; else python=python3; fi
"$python" tests/playground.py "$B/playground.html" ${2:+"$2"}
