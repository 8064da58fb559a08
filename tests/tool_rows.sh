#!/bin/sh
# Expression that is never held dense: sparse matrices and mapped files give what a table in memory gives, whatever the
# order of their cells; small sizes of bench/big.sh. $1: the tool.
set -u
. "$(dirname "$0")/harness.sh"
big=$tmp/big
${CC:-cc} -O2 -I"$root" "$root/bench/big.c" -o "$big" -lm || exit 1
near() { # NAME A B [FIELDS]: tables whose numbers are equal to 1e-5 of 1 + their size, in any order of their lines
    sort "$2" > near_a
    sort "$3" > near_b
    if awk -F, -v fields="${4:-99}" 'NR == FNR { line[FNR] = $0; next }
        { n = split(line[FNR], a, ","); if (n != NF) bad++
          for (i = 1; i <= n && i <= fields; i++) { d = a[i] - $i; if (d < 0) d = -d; s = $i < 0 ? -$i : $i
            if (a[i] == a[i] + 0 ? d > 1e-5 * (1 + s) : a[i] != $i) bad++ } }
        END { exit bad > 0 || FNR < 2 }' near_a near_b; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $1: $2 and $3 differ"; fi
}

# ---- one slide in every kind of file ----
ok "counts that are known" "$big" small 20000 30 all
# as text, and the same cells in another order
od -An -v -tu2 -w60 -j128 small.u2.npy | awk 'BEGIN { for (i = 0; i < 30; i++) printf "%sg%d", (i ? "," : ""), i; print "" }
    { for (i = 1; i <= 30; i++) printf "%s%d", (i > 1 ? "," : ""), $i; print "" }' > small.csv
od -An -v -tf4 -w8 -j128 small.xy.npy | awk 'BEGIN { print "x,y" } { printf "%s,%s\n", $1, $2 }' > xy.csv
mix() { awk 'NR == 1 { print; next } { line[NR - 2] = $0 } END { for (i = 0; i < NR - 1; i++) print line[i * 7919 % (NR - 1)] }' "$1"; }
mix small.csv > mixed.csv
mix xy.csv > mixed_xy.csv
fit() { name=$1; shift; ok "fit: $name" "$tool" fit --quiet "$@" --out "$name"; }
fit table --counts small.csv --coords xy.csv
fit mapped --counts small.npy --coords small.xy.npy
fit bits16 --counts small.u2.npy --coords small.xy.npy
fit sparse --counts small.npz --coords small.xy.npy
fit mixed --counts mixed.csv --coords mixed_xy.csv
for d in mapped bits16 sparse mixed; do
    near "the same pairs: $d" table/pairs.csv $d/pairs.csv
    near "the same genes: $d" table/genes.csv $d/genes.csv
    ok "the same calls, shuffled and not, contacts, tiles: $d" sh -c "grep -A3 '\"relations\"' table/report.json > a; grep -A3 '\"relations\"' $d/report.json > b; cmp a b"
    ok "the same levels: $d" cmp table/levels.npy $d/levels.npy
done
ok "planted forces are found" sh -c "awk -F, '\$1 == \"intra\" && \$10 < 0.05 { n++ } END { exit n < 1 }' sparse/pairs.csv"
fit sparse_3_genes --counts small.npz --coords small.xy.npy --top-genes 12 --min-cells 300
fit table_3_genes --counts small.csv --coords xy.csv --top-genes 12 --min-cells 300
near "genes picked: sparse" table_3_genes/pairs.csv sparse_3_genes/pairs.csv

# ---- slides, no error bars, other kinds ----
awk 'NR > 1 { print $1 < 40 ? "left" : $1 < 80 ? "middle" : "right" }' FS=, xy.csv > slides.txt
held() { sed -n 's/.*"held_out_per_cell": *\([^,}]*\).*/\1/p' "$1"/report.json; }
for d in csv npy npz; do
    fit slides_$d --counts small.$d --coords xy.csv --slides slides.txt
    fit forces_$d --counts small.$d --coords xy.csv --slides slides.txt --no-errors
    ok "the same folds without error bars: $d" awk -v a="$(held slides_$d)" -v b="$(held forces_$d)" 'BEGIN { d = a > b ? a - b : b - a
        exit a == "" || d > 1e-6 }'
    fit given_$d --counts small.$d --coords xy.csv --no-errors --ridge 0.3
    fit intensity_$d --counts small.$d --coords xy.csv --kind intensity
    ok "moments of $d" "$tool" moments --quiet --counts small.$d --coords xy.csv --out moments_$d.npz
    ok "counting takes $d" "$tool" fit --quiet --counts small.$d --coords xy.csv --method counts --no-errors --top-genes 5 --out counts_$d
done
for d in npy npz; do
    for what in slides forces given intensity counts; do near "$what: $d" ${what}_csv/pairs.csv ${what}_$d/pairs.csv; done
    fit from_$d --moments moments_$d.npz
    near "from moments of $d" mapped/pairs.csv from_$d/pairs.csv 6
done

# ---- a checkpoint of what is not dense ----
for d in npz npy; do
    (ulimit -t 1; "$tool" fit --quiet --counts small.$d --coords small.xy.npy --checkpoint kept --out interrupted) > /dev/null 2>&1
    fit resumed_$d --counts small.$d --coords small.xy.npy --checkpoint kept
    ok "a resumed fit is the whole: $d" cmp mapped/pairs.csv resumed_$d/pairs.csv
done

# ---- a pipe is opened once ----
if mkfifo pipe.npy 2> /dev/null; then
    for what in small.npy small.u2.npy; do
        (cat $what > pipe.npy) &
        ok "a pipe: $what" timeout 60 "$tool" fit --quiet --counts pipe.npy --coords small.xy.npy --out piped
        near "what comes through a pipe: $what" mapped/pairs.csv piped/pairs.csv
    done
    (head -c 5000 small.npy > pipe.npy) &
    bad "half of it through a pipe" 1 "pipe.npy.*offset" timeout 60 "$tool" fit --counts pipe.npy --coords small.xy.npy --out never
else skip "no named pipes"; fi

# ---- what is wrong is named as elsewhere ----
awk 'NR == 1 { print "%%MatrixMarket matrix coordinate real general"; print "20 3 21"; for (i = 1; i <= 20; i++) print i, i % 3 + 1, i; print "7 3 -2"; exit }' xy.csv > bad.mtx
sed -n '2,21p' xy.csv | sed '1i x,y' > bad_xy.csv
bad "a negative count in a sparse matrix" 1 "cell 6, gene 2" "$tool" fit --counts bad.mtx --coords bad_xy.csv --out never

# ---- memory, and the experiment at a small size ----
if [ -x /usr/bin/time ] && [ -r /proc/self/statm ]; then
    ok "a larger slide" "$big" large 300000 60 npy
    OMP_NUM_THREADS=2 /usr/bin/time -f %M -o peak "$tool" fit --quiet --counts large.npy --coords large.xy.npy --no-errors --out large > /dev/null 2>&1
    echo "  300,000 cells x 60 genes, 72 MB in a mapped file: $(tail -1 peak) KB at most"
else skip "/usr/bin/time not installed"; fi
done_here
