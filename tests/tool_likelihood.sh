#!/bin/sh
# The law that generates the tissue, by the tool: fit --method likelihood, check, simulated counts, what perturb says.
set -u
. "$(dirname "$0")/harness.sh"
no() { # NAME STATUS WORDS COMMAND...: exits with STATUS and says WORDS
    name=$1 status=$2 words=$3
    shift 3
    "$@" > log 2>&1
    got=$?
    if [ $got -eq "$status" ] && grep -q -- "$words" log; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $name: exit $got, '$words' wanted"; tail -5 log; fi
}

# A slide: 500 cells in two regions on a jittered grid, six genes, library sizes that differ.
awk 'function poisson(m,   k, p, u) { u = rand(); p = exp(-m); for (k = 0; u > p && k < 400; k++) { u -= p; p *= m / (k + 1) } return k }
BEGIN {
    srand(3)
    print "cell,A,B,C,D,E,F" > "counts.csv"; print "cell,x,y" > "coords.csv"
    for (i = 0; i < 500; i++) {
        x = i % 25 + rand() * .2; y = int(i / 25) + rand() * .2; s = exp((rand() - .5)); t = x + 4 * sin(y / 3) > 12
        z = exp(.8 * (rand() - .5) * 2)
        printf "c%d", i >> "counts.csv"
        for (k = 0; k < 6; k++) printf ",%d", poisson(s * (4 + 3 * k) * (k < 2 ? (t ? 2 : .6) : 1) * (k == 3 || k == 4 ? z : 1)) >> "counts.csv"
        printf "\n" >> "counts.csv"
        printf "c%d,%.4f,%.4f\n", i, x, y >> "coords.csv"
    }
}'
slide="--counts counts.csv --coords coords.csv"
says "a fit" "moments are the slide's" "$tool" fit $slide --method likelihood --steps 40 --seed 1 --out law
ok "another of the same seed" "$tool" fit $slide --method likelihood --steps 40 --seed 1 --quiet --out again
ok "gives the same bytes" cmp law/intra.npy again/intra.npy
ok "its levels are kept" test -s law/levels.npy
ok "score matching too" "$tool" fit $slide --quiet --out score
says "a check" "a tissue drawn from this law (likelihood)" "$tool" check --model law $slide --quiet --out check
says "prints a table" "Moran's I" "$tool" check --model law $slide --quiet --sweeps 50
says "also of another law" "(score)" "$tool" check --model score $slide --quiet
ok "writes a picture" grep -q '</svg>' check/check.svg
ok "with the pairs' numbers" test "$(wc -l < check/check_pairs.csv)" -eq 31
ok "and the genes'" test "$(wc -l < check/check_genes.csv)" -eq 7
ok "tissue" "$tool" simulate --model law --coords coords.csv --quiet --format csv --out tissue
ok "has counts beside its rows" awk -F, 'NR > 1 { for (k = 2; k <= NF; k++) { if ($k != int($k) || $k < 0) exit 1; s += $k } } END { exit !(NR == 501 && s > 20000 && s < 60000) }' tissue/counts.csv
says "perturb names its law" "a tissue drawn from this law (likelihood)" "$tool" perturb --model law $slide --quiet --cell c37 --gene A --repeats 2 --out ko
says "and the sham's drift" "the sham alone drifts" "$tool" perturb --model law $slide --quiet --cell c37 --gene A --repeats 2 --out ko
ok "the report has both" grep -q '"law": "likelihood"' ko/report.json
no "steps belong to it" 2 "steps" "$tool" fit $slide --steps 10 --out other
no "too few steps" 2 "steps" "$tool" fit $slide --method likelihood --steps 2 --out other
no "totals of other cells" 1 "totals" "$tool" simulate --model law --coords coords.csv --total law/intra.npy --quiet --out other
ok "a published fit" "$tool" fit $slide --method paper --epochs 5 --quiet --out paper
no "has no such law" 1 "generator of their own" "$tool" check --model paper $slide --quiet
no "check needs a model" 2 "--model" "$tool" check $slide
done_here
