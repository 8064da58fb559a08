#!/bin/sh
# make truth: runs the experiments, prints their tables, and keeps these (bench/truth.md), all figures (bench/truth.csv)
# and two pictures beside the programs.
# Usage: truth.sh BUILD [--quick]
# --quick: one seed, few slides, nothing kept.
set -e
B=$1
quick=$2
: > "$B/truth.csv"
printf '%s\n' 'Written by `make truth`: the tables of bench/counts.c, em.c, misty.c, gap.c, slides.c and law.c.' > "$B/truth.md"
for p in counts em misty gap slides law; do
    "$B/truth_$p" --data "${CELCOMEN_SHARED:-../shared}/data" --csv "$B/truth_$p.csv" $quick | tee -a "$B/truth.md"
    if [ -s "$B/truth.csv" ]; then tail -n +2 "$B/truth_$p.csv" >> "$B/truth.csv"; else cat "$B/truth_$p.csv" > "$B/truth.csv"; fi
done
printf '\nIn all: %s met, %s missed\n' "$(grep -c '| met |$' "$B/truth.md")" "$(grep -c '| MISSED |$' "$B/truth.md")"
[ -z "$quick" ] || exit 0
cp "$B/truth.csv" "$B/truth.md" bench/
"$B/pictures" bench
