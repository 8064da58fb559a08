#!/bin/sh
# The tool's --method counts: fit, denoise, score, perturb and bad input, on a tissue of its own seen through counts.
set -u
. "$(dirname "$0")/harness.sh"

# A grid of 18 x 18 cells and 6 genes, counts by a linear congruence: genes 0 and 1 go together, so do neighbours.
awk 'BEGIN {
    s = 7
    print "cell,g0,g1,g2,g3,g4,g5" > "counts.csv"
    print "cell,x,y" > "coords.csv"
    for (i = 0; i < 324; i++) {
        x = i % 18; y = int(i / 18); wave = sin(x / 2) * cos(y / 2)
        line = "c" i
        for (k = 0; k < 6; k++) {
            s = (s * 16807) % 2147483647; u = s / 2147483647
            s = (s * 16807) % 2147483647; v = s / 2147483647
            z = sqrt(-2 * log(u)) * cos(6.2831853 * v)
            if (k == 0) first = z
            if (k == 1) z = 0.8 * first + 0.6 * z
            line = line "," int(exp(2.2 + 0.5 * z + (k > 3 ? 0.6 * wave : 0)))
        }
        print line > "counts.csv"
        print "c" i "," x "," y > "coords.csv"
    }
}'
ok fit "$tool" fit --method counts --counts counts.csv --coords coords.csv --tiles 4 --out model
holds "its calls" log 'intra: [0-9]* of 15 pairs with q < 0.05'
holds "report.json" model/report.json '"method": "counts"'
holds "replicates" model/report.json '"groups": 16'
holds "pairs.csv" model/pairs.csv '^intra,g0,g1,'
ok "fit, same seed" "$tool" fit --method counts --counts counts.csv --coords coords.csv --tiles 4 --out again --quiet
same "same input, same bits" model/inter.npy again/inter.npy
OMP_NUM_THREADS=1 "$tool" fit --method counts --counts counts.csv --coords coords.csv --tiles 4 --out one --quiet > /dev/null
same "one thread, same bits" model/inter.npy one/inter.npy
same "one thread, same errors" model/inter_se.npy one/inter_se.npy
ok "types as fields" sh -c "awk 'BEGIN { for (i = 0; i < 324; i++) print i % 2 ? \"a\" : \"b\" }' > types.txt; '$tool' fit --method counts --counts counts.csv --coords coords.csv --centre-by types.txt --no-errors --out typed"
ok score "$tool" score --model model --counts counts.csv --coords coords.csv
holds "likelihood of counts" log 'log-likelihood of counts  *-[0-9.]*  *-[0-9.]*  *-[0-9.]*$'
ok "score, another slide" sh -c "awk '{ print \"new\" }' types.txt > slides.txt; '$tool' score --model model --counts counts.csv --coords coords.csv --slides slides.txt"
ok denoise "$tool" denoise --model model --counts counts.csv --coords coords.csv --format csv --out rates
holds "rates" rates/rate.csv 'g5'
ok "predicted" "$tool" denoise --model model --counts counts.csv --coords coords.csv --gene g1 --out predicted
ok "knock-out" "$tool" perturb --model model --counts counts.csv --coords coords.csv --cell 100 --gene g0 --repeats 3 --out ko
ok "dose" "$tool" perturb --model model --counts counts.csv --coords coords.csv --cell 100 --gene g0 --fold 2 --repeats 3 --out dose
holds "effects" dose/effects.csv '^hop,0,g1,'
bad "intensities" 2 'as they were counted' "$tool" fit --method counts --kind intensity --counts counts.csv --coords coords.csv --out never
bad "an l1 penalty" 2 'no effect' "$tool" fit --method counts --l1 1 --counts counts.csv --coords coords.csv --out never
bad "forces of types" 2 'no effect' "$tool" fit --method counts --types types.txt --counts counts.csv --coords coords.csv --out never
ok "a model of rows" "$tool" fit --counts counts.csv --coords coords.csv --no-errors --out rows
bad "denoise by it" 1 'not fitted by --method counts' "$tool" denoise --model rows --counts counts.csv --coords coords.csv --out never
bad "no such gene" 1 "no gene 'gX'" "$tool" denoise --model model --counts counts.csv --coords coords.csv --gene gX --out never
done_here
