#!/bin/sh
# The main job from end to end on a small tissue: known forces, tissue drawn from them, the fit, a knock-out.
# Needs nothing but the tool. Usage: demo.sh build/celcomen
set -e
tool=$1
out=$(dirname "$tool")/demo
rm -rf "$out"
say() { printf '\n== %s\n$ %s\n' "$1" "$(echo "$2" | sed "s|$tool|celcomen|;s|$out|demo|g")"; $2; }
say "Known forces between 10 genes, within cells and between neighbours" \
    "$tool plant --n-genes 10 --side 50 --seed 1 --out $out/truth"
say "A tissue of 2,500 cells drawn from them" \
    "$tool simulate --quiet --inter $out/truth/inter.npy --intra $out/truth/intra.npy --coords $out/truth/coords.npy --seed 1 --out $out/tissue"
say "Forces fitted to the tissue, with error bars" \
    "$tool fit --expression $out/tissue/expression.npy --coords $out/truth/coords.npy --quiet --out $out/model"
head -6 "$out/model/pairs.csv" | cut -d, -f1-3,7,8,12
say "Within cells: fitted against known" "$tool compare $out/truth/intra.npy $out/model/intra.npy"
say "Between cells: fitted against known" "$tool compare $out/truth/inter.npy $out/model/inter.npy"
say "The same by the published method" \
    "$tool fit --expression $out/tissue/expression.npy --coords $out/truth/coords.npy --quiet --method paper --out $out/paper"
$tool compare "$out/truth/inter.npy" "$out/paper/inter.npy" || true
say "Gene g0 knocked out in one cell: what changes there and in the cells around it" \
    "$tool knockout --model $out/model --expression $out/tissue/expression.npy --coords $out/truth/coords.npy --cell 900 --gene g0 --repeats 100 --out $out/knockout"
