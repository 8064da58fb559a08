#!/bin/sh
# The doors of the tool: one slide in every kind of file people have gives the same pairs; what is printed is what is
# written, strictly parsed; a run that is killed leaves the old results or the new; show, cells, help, the bridges, the demo.
set -u
. "$(dirname "$0")/harness.sh"
python=
for p in python3 /usr/bin/python3; do [ -z "$python" ] && "$p" -c 'import numpy, scipy' 2> /dev/null && python=$p; done

# ---- a small slide ----
awk 'BEGIN {
    srand(5)
    printf "cell" > "counts.csv"; for (g = 0; g < 12; g++) printf ",G%d", g > "counts.csv"; print "" > "counts.csv"
    print "cell,type,\"place x\",place_y" > "meta.csv"
    for (i = 0; i < 400; i++) {
        name = sprintf("c%03d", i); m = 2 + 4 * rand(); u = rand()
        printf "%s", name > "counts.csv"
        for (g = 0; g < 12; g++) {
            y = 0
            if (i != 7) for (k = 0; k < 12; k++) y += rand() < (g < 4 ? m * (u < 0.5 ? 1.5 : 0.5) : m) / 12
            printf ",%d", (g == 11 && i < 399 && i % 40 ? 0 : y) > "counts.csv"
        }
        print "" > "counts.csv"
        printf "%s,%s,%d,%d\n", name, i % 3 ? "T \"\"a\"\"" : "B", i % 20, int(i / 20) > "meta.csv"
        printf "%d,%d\n", i % 20, int(i / 20) > "bare.csv"
    }
}'
sed -i 's/T ""a""/"T ""a"""/' meta.csv
printf 'cell,x,y\n' > xy.csv
awk -F, 'NR > 1 { print $1 "," $(NF - 1) "," $NF }' meta.csv | sort -r >> xy.csv
S="--counts counts.csv --coords xy.csv"

# ---- what is printed is what is written ----
"$tool" fit $S --min-cells 3 --quiet --out m > fit.txt 2> fit.err
says "a cell without counts is named" "^7,\|^,7,c007,no counts in the 12 genes kept" cat m/cells.csv
"$tool" fit $S --types meta.csv:type --format csv --quiet --out typed > typed.txt 2> /dev/null
"$tool" perturb --model m $S --cell best --gene G1 --repeats 4 --distances 0,1.5,2.5 --out ko > ko.txt 2> ko.err
says "the best cell is told" "best: cell c[0-9]*, with [0-9]* of G1, [0-9]* cells next to it" cat ko.err
ok "arrays as CSV" "$tool" perturb --model typed $S --types meta.csv:type --cell c210 --gene G1 --repeats 3 --format csv --out kot --quiet
says "with the names of cells and genes" "^cell,G0,G1" head -1 kot/after.csv
says "a type with quotes and a blank" '^type,"T ""a""",G1' cat kot/effects.csv
"$tool" plant --n-genes 5 --side 12 --seed 18446744073709551615 --format csv --quiet --out truth
"$tool" simulate --intra truth/intra.csv --inter truth/inter.csv --coords truth/coords.csv --sweeps 1e1 --format csv --quiet --out tissue > /dev/null
says "64 bits of a seed" '"seed": 18446744073709551615' cat truth/report.json
says "1e1 is 10" '"sweeps": 10,' cat tissue/report.json
if [ -n "$python" ]; then
    "$tool" perturb --model typed $S --types meta.csv:type --cell c210 --gene G1 --repeats 3 --out kot --quiet > kot.txt 2> /dev/null
    ok "fit: strictly read, and as printed" "$python" "$root/tests/doors_check.py" m fit.txt
    ok "fit by types" "$python" "$root/tests/doors_check.py" typed typed.txt
    ok "perturb" "$python" "$root/tests/doors_check.py" ko ko.txt
    ok "perturb by types" "$python" "$root/tests/doors_check.py" kot kot.txt
    for d in truth tissue; do ok "$d" "$python" "$root/tests/doors_check.py" $d; done
    mkdir "$(printf 'bad\377\001 "x"')" && cp counts.csv xy.csv "$(printf 'bad\377\001 "x"')"
    "$tool" fit --counts "$(printf 'bad\377\001 "x"/counts.csv')" --coords xy.csv --no-errors --quiet --out odd > /dev/null 2>&1
    ok "a path that is no text" "$python" -c 'import json; json.loads(open("odd/report.json", encoding="utf-8").read())'
else skip "no Python with NumPy and SciPy: nothing is parsed strictly"; fi
says "long lists say what they leave out" "and [0-9]* pairs more in pairs.csv" cat fit.txt
says "same-gene rows apart" "^inter,G0," cat m/same_gene.csv
ok "--quiet keeps results on stdout" grep -q "pairs with q < 0.05" fit.txt
ok "and progress off stderr" sh -c '! grep -v warning fit.err'
ok "the order of the files is of no account" sh -c "{ head -1 counts.csv; tail -n +2 counts.csv | sort -r; } > turned.csv; '$tool' fit --counts turned.csv --coords xy.csv --min-cells 3 --quiet --out m2 && cmp m/pairs.csv m2/pairs.csv"
ok "standard input" sh -c "gzip -c counts.csv | '$tool' fit --counts - --coords xy.csv --min-cells 3 --quiet --out m3 && cmp m/pairs.csv m3/pairs.csv"
ok "quoted column names" "$tool" cells --counts counts.csv --coords "meta.csv:place x,place_y" --gene G1

# ---- show and cells ----
says "show a table" "and 13[0-9]* rows more\|rows more" "$tool" show m/pairs.csv --rows 3
says "show a model" "^force: float" "$tool" show m/model.npz
says "show an array" "and [0-9]* rows more" "$tool" show m/inter.npy --rows 3
says "show a report" '"command": "fit"' "$tool" show m/report.json
ok "cells" sh -c "[ \$('$tool' cells $S --gene G1 --rows 5 | grep -c '^  [0-9]') -eq 5 ]"
says "a cell that does not express the gene" "does not express G11.*celcomen cells --gene G11" "$tool" perturb --model m $S --cell c001 --gene G11 --repeats 2 --out none

# ---- help ----
says "--version" "^celcomen [0-9.]*$" "$tool" --version
for c in fit perturb cells simulate score disentangle logz plant show compare; do
    says "$c --help has its example" "^    celcomen $c " "$tool" $c --help
    says "and is in the manual page" "^.SS $c" "$tool" --man
done
says "a default is the command's own" "epochs (default: 200)" "$tool" fit --help
says "another's is another" "epochs (default: 50)" "$tool" simulate --help
says "methods" "how: paired" "$tool" perturb --help
ok "no option of others" sh -c "! '$tool' perturb --help | grep -q 'score-exact'"
ok "the older names" "$tool" knockout --model m $S --cell best --gene G1 --repeats 2 --out older
ok "make install" make -s -C "$root" install PREFIX="$tmp/a b" B="$root/build"
for f in bin/celcomen include/celcomen.h lib/pkgconfig/celcomen.pc share/man/man1/celcomen.1; do ok "installs $f" test -s "a b/$f"; done

# ---- the README names what there is ----
grep -o '^    \(\$ \)\{0,1\}celcomen [a-z].*' "$root/README.md" | sed 's/^ *\$\{0,1\} *celcomen //' > commands
ok "the README has commands" test "$(grep -c . commands)" -gt 8
while read -r c rest; do
    "$tool" "$c" --help > page 2>&1 || { failed=$((failed + 1)); echo "FAILED: the README's $c"; }
    for word in $rest; do
        case $word in --[a-z]*) grep -q -- "^  $word " page || { failed=$((failed + 1)); echo "FAILED: the README's $c $word"; } ;; esac
    done
done < commands
for f in $(grep -o '](\(bench\|examples\|docs\)/[^)#]*' "$root/README.md" | sed 's/](//'); do ok "the README's $f" test -e "$root/$f"; done

# ---- killed at any moment: the old results or the new ----
mkdir m/mine && echo kept > m/mine/file && echo kept > m/mine.txt
one="--no-errors --ridge 0.1 --field shared" two="--no-errors --ridge 0.3 --field none"
"$tool" fit $S $one --quiet --out one > /dev/null 2>&1
"$tool" fit $S $two --quiet --out two > /dev/null 2>&1
"$tool" fit $S $one --quiet --out m > /dev/null 2>&1
mixed=0 i=0
while [ $i -lt 50 ]; do
    i=$((i + 1)) new=$one
    [ $((i % 2)) -eq 0 ] || new=$two
    "$tool" fit $S $new --quiet --out m > /dev/null 2>&1 &
    pid=$!
    sleep "0.0$((i * 13 % 100 / 10))$((i * 13 % 10))"
    kill -9 $pid 2> /dev/null
    wait $pid 2> /dev/null
    # all of the one or all of the other, and the user's file
    which=two
    grep -q '"field": "shared"' m/report.json && which=one
    [ -f m/mine.txt ] || mixed=$((mixed + 1))
    ls m | grep -v '^mine' > listed
    ls $which > expected
    cmp -s listed expected || mixed=$((mixed + 1))
    for f in $(grep -v report.json expected); do cmp -s m/$f $which/$f || mixed=$((mixed + 1)); done
done
"$tool" fit $S --no-errors --ridge 0.1 --quiet --out m > /dev/null 2>&1
if [ $mixed -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $mixed mixtures in 50 kills"; fi
ok "what is the user's stays" grep -q kept m/mine.txt m/mine/file
ok "nothing is left beside it" sh -c '[ -z "$(ls -A | grep "^.m.celcomen")" ]'
ok "into the folder one stands in" sh -c "cd m && '$tool' fit --counts ../counts.csv --coords ../xy.csv --no-errors --quiet --out . && [ -s pairs.csv ] && [ ! -e slide_field.npy ] && ls -A | grep -q mine && ! ls -A | grep celcomen-"
ok "through a link" sh -c "mkdir target && ln -s target here && '$tool' fit $S --no-errors --quiet --out here && [ -h here ] && [ -s target/pairs.csv ]"

# ---- the bridges, and one slide in every kind of file ----
if [ -n "$python" ]; then
    [ -f "$root/celcomen.h" ] && says "a fit from NumPy arrays" "between cells, the surest pair: genes 2 and 3" "$python" "$root/examples/ctypes_fit.py"
else skip "no Python with NumPy and SciPy: no bridges"; fi
if [ -n "$python" ] && [ -d "$shared/data/xenium_breast" ]; then
    "$python" "$root/tests/doors_files.py" "$shared/data/xenium_breast" . > log 2>&1 || cat log
    door() { # NAME OPTIONS: fits, tells the time, and compares with the first
        name=$1
        shift
        start=$(date +%s.%N)
        "$tool" fit "$@" --top-genes 60 --quiet --out "door_$name" > log 2>&1 || cat log
        echo "  xenium_breast as $name: $(echo "$(date +%s.%N) $start" | awk '{ printf "%.1f s", $1 - $2 }')"
        [ "$name" = npy ] || ok "the same pairs from $name" cmp door_npy/pairs.csv "door_$name/pairs.csv"
    }
    d=$shared/data/xenium_breast
    door npy --counts "$d/counts.npy" --coords "$d/coords.npy" --genes "$d/genes.txt"
    door csv --counts counts.csv --coords coords.csv
    door tsv_in_another_order --counts counts.tsv --coords coords.csv
    door 10x_gz --counts tenx --coords coords.csv
    door 10x_tissue_positions --counts tenx --coords tissue_positions.csv
    door 10x_tissue_positions_list --counts tenx --coords tissue_positions_list.csv
    door npz_compressed --counts counts.npz --genes genes.txt --coords coords.npy
    if [ -s slide.h5ad ]; then
        bridge="$root/examples/anndata_bridge.py"
        ok "export of .h5ad" "$python" "$bridge" export slide.h5ad exported --types-key cell_type
        door h5ad --counts exported/counts.npz --genes exported/genes.txt --coords exported/coords.csv
        ok "a knock-out" "$tool" perturb --model door_h5ad --counts exported/counts.npz --genes exported/genes.txt --coords exported/coords.csv --cell best --gene LUM --repeats 2 --out door_ko
        ok "import" "$python" "$bridge" import slide.h5ad door_h5ad door_ko --out back.h5ad
        ok "there and back" "$python" -W ignore -c '
import anndata, csv, json, numpy as np
a = anndata.read_h5ad("back.h5ad")
for r in csv.DictReader(open("door_h5ad/pairs.csv")):
    i, j = a.var_names.get_loc(r["gene_a"]), a.var_names.get_loc(r["gene_b"])
    for name, key in (("", "force"), ("_partial", "partial"), ("_q", "q")):
        v = a.varp["celcomen_%s%s" % (r["relation"], name)]
        assert abs(v[i, j] - float(r[key])) <= 1e-5 * abs(v[i, j]) and v[i, j] == v[j, i], r
after, sham = np.load("door_ko/after.npy"), np.load("door_ko/sham.npy")
genes = open("door_h5ad/genes.txt").read().split()
cols = [a.var_names.get_loc(g) for g in genes]
kept = a.obs["celcomen_row"].values >= 0
assert np.array_equal(a.layers["celcomen_after"][kept][:, cols], after) and np.array_equal(a.layers["celcomen_sham"][kept][:, cols], sham)
assert np.isnan(a.layers["celcomen_after"][~kept]).all() and json.loads(a.uns["celcomen"]["fit"])["command"] == "fit"
assert (a.layers["counts"] != anndata.read_h5ad("slide.h5ad").layers["counts"]).nnz == 0'
    else skip "no anndata: no .h5ad"; fi
else skip "no slides, or no Python with NumPy and SciPy: not in every kind of file"; fi

# ---- the demo tells what was planted, what was found, what the knock-out did, and how sure that is ----
cp "$tool" . && ok "the demo" sh "$root/examples/demo.sh" ./celcomen && cp log demo.txt
says "planted beside fitted, with errors, beside published" "^  g1  *g9  *7.74  *[0-9.]* +- [0-9.]*  *[0-9.]*$" cat demo.txt
says "how well they agree" "model: off the diagonal: Pearson 0.9" cat demo.txt
says "the gene itself" "^   The gene itself was observed at 0.8[0-9]; runs without the knock-out have it at [0-9.]*, runs with it at 0.00" cat demo.txt
says "its neighbours, and how sure" "^   1 step away g[0-9] changes most: [-+]0.[0-9]* +- 0.[0-9]*, mean of 6 cells (q [0-9]e-" cat demo.txt
ok "every command of it can be copied" sh -c "cd demo && rm -rf truth tissue model published knockout && sed -n 's/^   \\$ celcomen/..\/celcomen/p' ../demo.txt > copied && sh -e copied && [ -s knockout/effects.csv ]"
done_here
