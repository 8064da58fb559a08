#!/bin/sh
# The unpacking of gzip, beside zlib and gunzip: sh bench/inflate.sh BUILD [RANDOM_STREAMS]
# 1. every level and strategy of zlib, and (default) 10,000 random streams; 2. up to 200 gzip files of this machine, byte
# by byte as gunzip has them; 3. speed: a table of counts and a matrix of floats, processor time of the fastest of
# seven rounds. SPDX-License-Identifier: MIT
set -e
cd "$(dirname "$0")/.."
build=${1:-build}
mkdir -p "$build"
${CC:-cc} -O2 -I. -Ibench bench/inflate.c -o "$build/bench_inflate" -lm
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=
for p in python3 /usr/bin/python3; do [ -z "$python" ] && "$p" -c 'import numpy, scipy' 2> /dev/null && python=$p; done
if [ -n "$python" ]; then
    "$python" tests/write_files.py "$folder" "${2:-10000}" 2> /dev/null
    count=$("$build/bench_inflate" --streams "$folder/streams.bin")
    echo "streams of zlib, every level and strategy, and random: $count identical"
else echo "skipped: no Python with NumPy and SciPy: no streams of zlib"; fi

same=0 other=0
find /usr/share /usr/lib /var -xdev -name '*.gz' -size +0 -type f 2> /dev/null | sort | awk 'NR % 3 == 1' | head -200 > "$folder/list"
for f in $(cat "$folder/list"); do
    gunzip -c "$f" > "$folder/a" 2> /dev/null || continue
    if "$build/bench_inflate" "$f" > "$folder/b" && cmp -s "$folder/a" "$folder/b"; then same=$((same + 1)); else
        other=$((other + 1)); echo "other than gunzip: $f"; fi
done
echo "gzip files of this machine: $same identical, $other not"

awk 'BEGIN {
    srand(1)
    for (i = 0; i < 40000; i++) {
        printf "cell%d", i
        for (g = 0; g < 300; g++) { u = rand(); printf ",%d", u < 0.7 ? 0 : u < 0.9 ? 1 : 10 * u }
        print ""
    }
}' > "$folder/counts.csv"
[ -z "$python" ] || "$python" -c "
import numpy, sys
numpy.random.default_rng(1).poisson(0.8, (10000, 600)).astype('<f4').tofile('$folder/floats')"
for f in counts.csv floats; do
    [ -s "$folder/$f" ] || continue
    for level in 1 6 9; do
        gzip -c -$level "$folder/$f" > "$folder/packed.gz"
        "$build/bench_inflate" --time "$folder/packed.gz" | awk -v f="$f" -v level=$level '
            { printf "%s, gzip -%d: %.0f MB/s, gunzip %.0f MB/s, ratio %.2f\n", f, level, $3 / $1 / 1e6, $3 / $2 / 1e6,
              $2 / $1 }'
    done
done
