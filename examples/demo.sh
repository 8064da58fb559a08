#!/bin/sh
# A story with a known end: forces are planted, tissue is drawn from them, and the forces are asked back from the tissue
# alone; then a gene is knocked out. Needs nothing but the tool. Usage: demo.sh build/celcomen
set -e
tool=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
mkdir -p "$(dirname "$tool")/demo"
cd "$(dirname "$tool")/demo"
rm -rf truth tissue model published knockout
step=0
say() { step=$((step + 1)); printf '\n%d. %s\n' $step "$1"; }
run() { printf '   $ celcomen %s\n' "$*"; "$tool" "$@" > printed 2> remarks || { cat remarks; exit 1; }; }

say "Forces between 10 genes are planted, within a cell and between neighbours, on a grid of 2,500 cells."
run plant --n-genes 10 --side 50 --seed 1 --out truth
say "A tissue is drawn from them: the expression of every cell, which knows of the forces and of nothing else."
run simulate --intra truth/intra.npy --inter truth/inter.npy --coords truth/coords.npy --seed 1 --out tissue
say "Forces are fitted to that tissue, with standard errors. The fit sees expression and positions, not the truth."
run fit --expression tissue/expression.npy --coords truth/coords.npy --out model
say "The published method is fitted to the same tissue."
run fit --expression tissue/expression.npy --coords truth/coords.npy --method paper --out published
say "Planted, fitted, published: what was fitted should be what was planted, give or take two standard errors (+-)."
run compare truth model published
cat printed
say "What if g0 were knocked out? It is held at 0 in one cell that expresses it, away from the borders: 50 pairs of runs on
   the same random numbers, with the knock-out (after) and without it (sham). Their difference is the effect."
run perturb --model model --expression tissue/expression.npy --coords truth/coords.npy --cell best --gene g0 --repeats 50 --out knockout
sed -n 's/^--cell best: /   the /p' remarks
sed '/^hop 2/,$d' printed
awk -F, '
    $1 == "hop" && $2 == 0 && $3 == "g0" { observed = $4; sham = $5; after = $6 }
    $1 == "hop" && $2 > 0 && $2 < 4 { size = $7 < 0 ? -$7 : $7; if (size > best[$2]) { best[$2] = size; line[$2] = $0 } }
    END {
        printf "   The gene itself was observed at %.2f; runs without the knock-out have it at %.2f, runs with it at %.2f.\n", observed, sham, after
        for (hop = 1; hop < 4; hop++) {
            split(line[hop], f, ",")
            printf "   %d step%s away %s changes most: %+.4f +- %.4f, mean of %d cells (q %.0e).\n", hop, (hop > 1 ? "s" : ""), f[3], f[7], f[8], f[10], f[9]
        }
        print "   These errors are of the sampling, given the fitted forces; how well those are known, step 5 says."
    }' knockout/effects.csv
say "All of it is in build/demo: try celcomen show knockout/effects.csv, model/pairs.csv or model/report.json."
rm -f printed remarks
