#!/bin/sh
# Lines and branches of celcomen.h that the suites reach, by gcov: float at the best level and the scalar one, and double.
#     sh tests/coverage.sh BUILD [brief]      brief: float at the best level, loops of statistics cut short
set -u
B=$1 brief=${2:-}
command -v gcov > /dev/null || { echo "skipped: gcov not installed"; exit 0; }
dir=$(mktemp -d) top=$PWD
trap 'rm -rf "$dir"' EXIT
gcc -O0 --coverage -std=gnu99 -I. -Itests -c tests/impl.c -o "$dir/impl.o" || exit 1
gcc -O1 -std=gnu99 -I. -Itests "$dir/impl.o" tests/run.c tests/test_*.c --coverage -fprofile-arcs -o "$dir/tests" -lm || exit 1
"$dir/tests" ${brief:+--brief} > "$dir/log" 2>&1 || tail -5 "$dir/log"
[ -n "$brief" ] || for level in scalar avx2; do "$dir/tests" --level $level >> "$dir/log" 2>&1; done
(cd "$dir" && gcov -b -c -s "$top" impl.gcda impl.o > summary 2> /dev/null || gcov -b -c impl.gcda > summary 2> /dev/null)
awk '/^File .*celcomen.h/ { on = 1 } on && /^Lines executed/ { sub(/.*:/, ""); lines = $0 } on && /^Taken at least once/ { sub(/.*:/, ""); print "coverage: lines " lines ", branches " $0; exit }' "$dir/summary"
# Lines that nothing reaches, in spans, for whoever writes the next test.
mkdir -p "$B"
awk -F: '/#####/ { print $2 + 0 }' "$dir"/celcomen.h.gcov 2> /dev/null | awk 'NR == 1 { from = to = $1; next } $1 <= to + 2 { to = $1; next } { print from "-" to; from = to = $1 } END { if (NR) print from "-" to }' > "$B/uncovered.txt"
echo "not reached: listed in $B/uncovered.txt"
