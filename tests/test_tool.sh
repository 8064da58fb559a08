#!/bin/sh
# The command-line tool: the main job on a tissue of its own, every slide of ../shared/data where present, and
# bad input: exit status, a message that names the file and the place, nothing written.
set -u
. "$(dirname "$0")/harness.sh"

# ---- the main job ----
ok plant "$tool" plant --n-genes 6 --side 20 --seed 3 --out truth
ok simulate "$tool" simulate --intra truth/intra.npy --inter truth/inter.npy --coords truth/coords.npy --seed 3 --out tissue
ok fit "$tool" fit --expression tissue/expression.npy --coords truth/coords.npy --genes truth/genes.txt --out model
for f in inter intra inter_se intra_se; do ok "$f.npy" "$tool" info model/$f.npy; done
holds "pairs.csv" model/pairs.csv '^relation,gene_a,gene_b,force,partial,test,se,z,p,q$'
holds "report.json" model/report.json '"method": "score"'
ok "fit, same seed" "$tool" fit --expression tissue/expression.npy --coords truth/coords.npy --genes truth/genes.txt --out again --quiet
same "same input, same bits" model/inter.npy again/inter.npy
OMP_NUM_THREADS=1 "$tool" fit --expression tissue/expression.npy --coords truth/coords.npy --genes truth/genes.txt --out one --quiet > /dev/null
same "one thread, same bits" model/inter.npy one/inter.npy
ok "fit by the published method" "$tool" fit --expression tissue/expression.npy --coords truth/coords.npy --method paper --out paper
holds "its report" paper/report.json '"saturated": '
ok "fit with hops, l1" "$tool" fit --expression tissue/expression.npy --coords truth/coords.npy --hops 2 --l1 0.1 --out hops
holds "second hop" hops/pairs.csv 'inter_hop2'
ok "generate by the published method" "$tool" generate --model paper --coords truth/coords.npy --method paper --epochs 5 --out gen
ok "knock-out" "$tool" knockout --model model --expression tissue/expression.npy --coords truth/coords.npy --genes truth/genes.txt --cell 210 --gene g1 --repeats 4 --out ko
holds "effects.csv" ko/effects.csv '^hop,0,g1,'
ok "knock-out, published" "$tool" knockout --model paper --expression tissue/expression.npy --coords truth/coords.npy --cell 210 --gene g1 --method paper --out kop
ok "knock-out by distance" "$tool" knockout --model model --expression tissue/expression.npy --coords truth/coords.npy --genes truth/genes.txt --cell 210 --gene g1 --repeats 4 --distances 0,1.5,2.5 --out kod
holds "effects by distance" kod/effects.csv '^distance,1.5-2.5,g1,.*,12$'
grep '^hop' ko/effects.csv > hop1
grep '^hop' kod/effects.csv > hop2
same "the same effects by hop" hop1 hop2
printf '5, g0, 0.5\nadd cell at 3.2,4.1 with profile of cell 7\nremove cell 9\n' > do.txt
ok "interventions from a file" "$tool" perturb --model model --expression tissue/expression.npy --coords truth/coords.npy --genes truth/genes.txt --interventions do.txt --repeats 3 --out several
ok score "$tool" score --model model --expression tissue/expression.npy --coords truth/coords.npy --genes truth/genes.txt
printf 'first\tg0\tg1\tg2\nsecond\tg3\tg4\tg5\n' > sets.txt
ok disentangle "$tool" disentangle --model model --gene-sets sets.txt
ok logz "$tool" logz --model model --coords truth/coords.npy --repeats 3 --sweeps 20
ok compare "$tool" compare truth/intra.npy model/intra.npy
ok help "$tool" --help
for c in fit simulate perturb score disentangle logz plant; do ok "$c --help" "$tool" $c --help; done

# ---- bad usage: 2 ----
bad "no command" 2 "" sh -c "'$tool' 2>&1 | sed '1s/^celcomen .*/celcomen: x/'; exit 2"
bad "unknown option" 2 "no option --colour" "$tool" fit --colour red
bad "option of another command" 2 "no option --gene" "$tool" fit --gene x
bad "missing value" 2 "needs a value" "$tool" fit --counts
bad "not a number" 2 "not a whole number" "$tool" fit --k six
bad "no --out" 2 "--out" "$tool" fit --expression tissue/expression.npy --coords truth/coords.npy
bad "no coordinates" 2 "--coords" "$tool" fit --expression tissue/expression.npy --out never
bad "unknown method" 2 "--method" "$tool" fit --expression tissue/expression.npy --coords truth/coords.npy --method magic --out never

# ---- bad input: 1, one line, nothing written ----
fit_bad() { name=$1 words=$2; shift 2; bad "$name" 1 "$words" "$tool" fit "$@" --out never; }
fit_bad "missing file" "absent.npy" --expression absent.npy --coords truth/coords.npy
head -c 300 tissue/expression.npy > half.npy
fit_bad "half a file" "half.npy.*offset" --expression half.npy --coords truth/coords.npy
fit_bad "half a file of coordinates" "half.npy" --expression tissue/expression.npy --coords half.npy
fit_bad "not a .npy" "sets.txt" --expression sets.txt --coords truth/coords.npy
fit_bad "mismatched coordinates" "coords.npy: 400 rows, but" --expression model/inter.npy --coords truth/coords.npy
printf 'a\nb\n' > two.txt
fit_bad "mismatched genes" "two.txt: 2 names" --expression tissue/expression.npy --coords truth/coords.npy --genes two.txt
fit_bad "mismatched slides" "two.txt: 2 names" --expression tissue/expression.npy --coords truth/coords.npy --slides two.txt
printf 'a\nb\nc\nd\ne\na\n' > twice.txt
fit_bad "a gene named twice" "the gene a is there twice" --expression tissue/expression.npy --coords truth/coords.npy --genes twice.txt
fit_bad "negative count" "negative.*cell [0-9]*, gene [0-9]" --counts tissue/expression.npy --coords truth/coords.npy
fit_bad "rows that are not unit" "length" --expression truth/coords.npy --coords truth/coords.npy
fit_bad "empty neighbourhood" "coords.npy: cell [0-9]* has no neighbour" --expression tissue/expression.npy --coords truth/coords.npy --radius 0.1
# Small arrays by hand: FILE, type, shape, bytes.
npy() {
    printf '\223NUMPY\001\000\166\000' > "$1"
    printf '%-117s\n' "{'descr': '$2', 'fortran_order': False, 'shape': ($3), }" >> "$1"
    printf "$4" >> "$1"
}
one='\000\000\200\077' nan='\000\000\300\177'
npy place.npy '|u1' '4, 2' '\000\000\001\000\002\001\003\001'
npy counts.npy '|u1' '4, 3' '\001\002\003\004\000\001\002\002\005\001\001\007'
npy nan.npy '<f4' '4, 2' "$one$one$one$one$one$one$one$nan"
npy nothing.npy '|u1' '4, 3' '\000\000\000\000\000\000\000\000\000\000\000\000'
npy edges.npy '|u1' '2, 3' '\000\001\002\001\002\004'
npy wide.npy '|u1' '3, 2' '\000\001\002\001\002\004'
npy float.npy '<f4' '2, 1' "$one$one"
ok "counts" "$tool" fit --counts counts.npy --coords place.npy --k 2 --ridge 0.1 --no-errors --out counted
printf 'often\nrare\nalways\n' > three.txt
ok "most expressed genes" "$tool" fit --counts counts.npy --coords place.npy --genes three.txt --top-genes 2 --genes-by mean --k 2 --ridge 0.1 --no-errors --out expressed
ok "which they are" sh -c '[ "$(tr "\n" " " < expressed/genes.txt)" = "often always " ]'
ok "most variable genes" "$tool" fit --counts counts.npy --coords place.npy --genes three.txt --top-genes 2 --genes-by variable --k 2 --ridge 0.1 --no-errors --out variable
bad "distances that fall" 2 "--distances" "$tool" perturb --model model --expression tissue/expression.npy --coords truth/coords.npy --cell 3 --gene g0 --distances 3,1 --out never
bad "--genes-by alone" 2 "--top-genes" "$tool" fit --counts counts.npy --coords place.npy --genes-by mean --out never
bad "--genes-by what" 2 "--genes-by" "$tool" fit --counts counts.npy --coords place.npy --top-genes 2 --genes-by size --out never
fit_bad "NaN count" "nan.npy.*cell 3, gene 1" --counts nan.npy --coords place.npy --k 2
fit_bad "no counts at all" "nothing.npy: every cell" --counts nothing.npy --coords place.npy --k 2
fit_bad "edge out of range" "edges.npy: edge 2" --counts counts.npy --edges edges.npy
fit_bad "edges out of shape" "not 2 x edges" --counts counts.npy --edges wide.npy
fit_bad "edges that are not whole numbers" "float.npy" --counts counts.npy --edges float.npy
low='\232\231\031\077' high='\315\314\114\077' # 0.6 and 0.8
npy same.npy '<f4' '4, 2' "$low$high$low$high$low$high$low$high"
ok "cells that are all the same" "$tool" fit --expression same.npy --coords place.npy --k 2 --method score-exact --ridge 0 --no-errors --quiet --out collapsed
holds "the warning" log 'warning: the fit has not converged'
holds "its report" collapsed/report.json '"converged": 0'
python=
for p in python3 /usr/bin/python3; do [ -z "$python" ] && "$p" -c 'import numpy' 2> /dev/null && python=$p; done
if [ -n "$python" ]; then
    "$python" -c '
import numpy
pairs = dict(indptr=[0, 2, 4, 6, 8], indices=[1, 2, 0, 3, 0, 3, 1, 2], format=b"csr", shape=[4, 4])
numpy.savez("graph.npz", data=numpy.arange(8.0), **pairs)
numpy.savez_compressed("packed.npz", data=numpy.arange(8.0), **pairs)
numpy.save("graph.npy", [numpy.repeat(range(4), 2), pairs["indices"]])'
    for g in npz npy; do ok "a graph, .$g" "$tool" fit --counts counts.npy --edges graph.$g --ridge 0.1 --no-errors --out graph-$g; done
    same "the same graph" graph-npz/inter.npy graph-npy/inter.npy
    ok "a compressed graph" "$tool" fit --counts counts.npy --edges packed.npz --ridge 0.1 --no-errors --out graph-packed
    same "the same graph" graph-npz/inter.npy graph-packed/inter.npy
    fit_bad "a graph of other cells" "graph.npz: 4 x 4" --expression tissue/expression.npy --edges graph.npz
else
    echo "  skipped: no Python with NumPy: no .npz"; skipped=$((skipped + 1))
fi
fit_bad "more neighbours than cells" "place.npy" --counts counts.npy --coords place.npy --k 4
ko_bad() { name=$1 words=$2; shift 2; bad "$name" 1 "$words" "$tool" perturb --model model --expression tissue/expression.npy --coords truth/coords.npy --genes truth/genes.txt "$@" --out never; }
ko_bad "unknown gene" "no gene 'XYZ'" --cell 3 --gene XYZ
ko_bad "cell out of range" "cell 400" --cell 400 --gene g0
for line in '3,XYZ,0' '400,g0,0' '3,g0,1.5' 'nonsense' 'remove cell 4000'; do
    printf '# one\n%s\n' "$line" > wrong.txt
    ko_bad "intervention '$line'" "wrong.txt.*" --interventions wrong.txt
done
printf '3,g0,0\n3,g0,0.5\n' > wrong.txt
ko_bad "the same gene held twice" "wrong.txt" --interventions wrong.txt
for g in 0 1 2 3 4 5; do echo "3,g$g,0"; done > wrong.txt
ko_bad "all genes at 0" "wrong.txt" --interventions wrong.txt
bad "no model" 1 "nowhere" "$tool" score --model nowhere --expression tissue/expression.npy --coords truth/coords.npy

# ---- what earlier versions got wrong ----
T="--expression tissue/expression.npy --coords truth/coords.npy --genes truth/genes.txt"
absent() { if [ -e "$2" ]; then failed=$((failed + 1)); echo "FAILED: $1: $2 is there"; else passed=$((passed + 1)); fi; }
two_types() { awk -v a="$1" -v b="$2" 'BEGIN { for (i = 0; i < 400; i++) print i % 3 ? a : b }'; }
near() { # NAME A B: equal to 1e-4
    if awk -v a="$2" -v b="$3" 'BEGIN { d = a - b; if (d < 0) d = -d; if (a < 0) a = -a; exit !(a > 0 && d <= 1e-4 * a) }'; then
        passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1: $2 and $3 differ"; fi
}
key() { awk -F'[:,]' "/\"$2\"/ { print \$2 + 0 }" "$1"; }
ok "H4: a fit with a field" "$tool" fit $T --field shared --method score-exact --out field
near "H4: score reads the field" "$(key field/report.json value_per_cell)" "$("$tool" score --model field $T --quiet | awk '/score J, exact/ { print $6 }')"
awk 'BEGIN { for (i = 0; i < 400; i++) print i < 200 ? "one" : "two" }' > slides.txt
ok "H4: a field for every slide" "$tool" fit $T --slides slides.txt --field slide --method score-exact --tiles 3 --out slidefield
near "H4: score reads each slide's" "$(key slidefield/report.json value_per_cell)" "$("$tool" score --model slidefield $T --slides slides.txt --quiet | awk '/score J, exact/ { print $6 }')"
ok "H4: it is kept" "$tool" info slidefield/slide_field.npy
ok "H19: weights" "$tool" fit $T --method paper --weights adjacency --out adjacency
ok "H19: weights from the model" "$tool" generate --model adjacency --coords truth/coords.npy --method paper --epochs 3 --out w1 --quiet
ok "H19: weights by hand" "$tool" generate --inter adjacency/inter.npy --intra adjacency/intra.npy --coords truth/coords.npy --method paper --epochs 3 --weights adjacency --out w2 --quiet
same "H19: the same tissue" w1/expression.npy w2/expression.npy
two_types "NK/T cell" "L2/3 IT" > types.txt
ok "H7: names that are no file names" "$tool" fit $T --types types.txt --no-errors --out typed
ok "H7: read again" "$tool" score --model typed $T --types types.txt
holds "H7: which file is which" typed/relations.txt '^inter L2/3 IT | NK/T cell$'
two_types "A_B" "C" > types.txt
bad "other types" 1 "cell 0 is of type 'C'" "$tool" score --model typed $T --types types.txt
bad "no types" 1 "--types" "$tool" score --model typed $T
two_types 'T cell, "alpha"' "B" > types.txt
ok "a comma in a type's name" "$tool" fit $T --types types.txt --no-errors --out comma
holds "is quoted" comma/pairs.csv '^"inter B | T cell, ""alpha""",'
for q in '' '"'; do
    printf 'cells of type %sT cell, "alpha"%s, g1, 0\n' "$q" "$q" > commas.txt
    ok "and can be named" "$tool" perturb --model comma $T --types types.txt --interventions commas.txt --repeats 2 --out commas
done
two_types T B > types.txt
echo 'cells of type T, g1, 0' > typed.txt
ok "types for interventions on a model without" "$tool" perturb --model model $T --types types.txt --interventions typed.txt --repeats 2 --out bytype
holds "effects by type" bytype/effects.csv '^type,T,g1,'
npy silent.npy '|u1' '4, 3' '\001\000\003\004\000\001\002\000\005\001\000\007'
ok "a gene without counts" "$tool" fit --counts silent.npy --genes three.txt --coords place.npy --k 2 --ridge 0.1 --no-errors --out silent
holds "is named" log "warning: .*: rare$"
npy pairs.npy '|u1' '2, 8' '\000\000\001\001\002\002\003\003\001\002\000\003\000\003\001\002'
ok "a fit on edges" "$tool" fit --counts counts.npy --edges pairs.npy --ridge 0.1 --no-errors --out edged
bad "its model without edges" 1 "--edges" "$tool" score --model edged --counts counts.npy --coords place.npy
ok "its model with edges" "$tool" score --model edged --counts counts.npy --edges pairs.npy
bad "another target sum" 1 "fitted at 7.5" "$tool" score --model edged --counts counts.npy --edges pairs.npy --target-sum 5
printf 'g0\ng1\ng2\ng3\ng4\nother\n' > others.txt
bad "a model of other genes" 1 "others.txt: .*missing: g5" "$tool" score --model model --expression tissue/expression.npy --coords truth/coords.npy --genes others.txt
printf 'g5\ng4\ng3\ng2\ng1\ng0\n' > turned.txt
ok "genes in another order" "$tool" score --model model --expression tissue/expression.npy --coords truth/coords.npy --genes turned.txt
mkdir -p old && cp model/report.json model/genes.txt model/relations.txt model/inter.npy model/intra.npy old
bad "a model of another version" 1 "another version" "$tool" score --model old $T
for e in "--target-sum -1" "--k 0" "--radius 0" "--radius -5" "--hops 0" "--tiles 0" "--k 3 --radius 2" "--epochs 5" "--lr 0.5" "--optimizer adam" \
    "--weights adjacency" "--mean-degree" "--sphere right" "--k 3 --edges pairs.npy" "--method paper --ridge 1" "--method paper --hops 2" \
    "--method paper --lr -1" "--method paper --epochs 0" "--method paper --zmft 0" "--k 3 --k 4" "--top-genes 1" "--l1 1 --group 1"; do
    bad "fit $e" 2 "--" "$tool" fit $T $e --out never
done
for e in "--repeats 1" "--repeats 0" "--sweeps 0" "--value 2" "--within 0" "--method relax --repeats 4" "--lr 0.1" "--interventions do.txt"; do
    bad "knock-out $e" 2 "--" "$tool" knockout --model model $T --cell 3 --gene g1 $e --out never
done
bad "plant --share 2" 2 "--share" "$tool" plant --share 2 --out never
bad "model and forces" 2 "exclude" "$tool" simulate --model model --inter truth/inter.npy --coords truth/coords.npy --out never
ok "plant --share 0" "$tool" plant --share 0 --out bare
ok "no forces" sh -c "'$tool' info bare/intra.npy | grep -q 'mean 0, greatest 0'"
if [ -w /dev/full ]; then
    for c in "info counts.npy" "compare model/intra.npy model/inter.npy" "--help" "score --model model $T --quiet"; do
        bad "a full disk: $c" 1 "standard output" sh -c "'$tool' $c > /dev/full"
    done
fi
bad "--out that is empty" 2 "--out" "$tool" fit $T --out ""
echo kept > afile
bad "--out that is a file" 1 "afile" "$tool" fit $T --out afile
if grep -q "^fit" log; then failed=$((failed + 1)); echo "FAILED: --out is looked at last"; else passed=$((passed + 1)); fi
bad "--out below a file" 1 "afile" "$tool" simulate --model model --coords truth/coords.npy --out afile/below
ok "a fit with much to write" "$tool" fit $T --types types.txt --field shared --out again
echo mine > again/mine.txt
ok "then one with less" "$tool" fit $T --no-errors --out again
for f in intra_se.npy field.npy inter_2.npy; do absent "nothing of the first fit" again/$f; done
holds "what is the user's stays" again/mine.txt mine
bad "a disk that fills up" 1 "never" sh -c "trap '' XFSZ; ulimit -f 4; exec '$tool' fit $T --out never/deep"
printf '\357\273\2773,g1,0\r\n' > mark.txt
ok "a byte order mark" "$tool" perturb --model model $T --interventions mark.txt --repeats 2 --out mark
printf 'A\tx\tg0\tg1\nB\tx\tg3\tg4\nC\tx\tFOO\n' > foreign.txt
ok "a set without a gene" "$tool" disentangle --model model --gene-sets foreign.txt
holds "the others compared" log '^A - B'
ok "--option=value" "$tool" fit --expression=tissue/expression.npy --coords=truth/coords.npy --k=1e1 --no-errors --out=equals
bad "unknown command" 2 "fti" "$tool" fti
for c in info compare fit; do ok "$c -h" "$tool" $c -h; done
ok "help fit" sh -c "'$tool' help fit | grep -q -- --counts"
ok "standard input" sh -c "cat tissue/expression.npy | '$tool' fit --expression - --coords truth/coords.npy --no-errors --out stdin"
ok "H16: info of a pipe" sh -c "cat counts.npy | '$tool' info -"
printf '# one\n3,g1\n' > wrong.txt
ko_bad "a line has a number" "line 2" --interventions wrong.txt
fit_bad "no such file" "[Nn]o such file" --expression nosuch.npy --coords truth/coords.npy
fit_bad "a folder" "folder" --expression model --coords truth/coords.npy
fit_bad "a coordinate that is none" "cell 3, column 1" --counts counts.npy --coords nan.npy --k 2
printf '\377\376a\000\n\000b\000\n\000c\000\n\000' > wide.txt
fit_bad "UTF-16" "UTF-8" --counts counts.npy --coords place.npy --genes wide.txt
npy objects.npy '|O' '4, 3' 'pickle'
fit_bad "a pickled matrix" "toarray" --counts objects.npy --coords place.npy
printf 'PK\003\004' > archive.npz
fit_bad "an archive for counts" "cut short" --counts archive.npz --coords place.npy
printf 'a\n\nc\n' > hole.txt
fit_bad "a gene without a name" "line 2 is empty" --counts counts.npy --coords place.npy --genes hole.txt
fit_bad "what to do about names" "unique" --expression tissue/expression.npy --coords truth/coords.npy --genes twice.txt

# ---- measured data: nothing confidently wrong ----
# 400 cells of 12 genes on a grid: g0 to g3 are frequent in every other patch of 5 x 5 cells; g11 is rare.
bytes() { awk -v what="$1" 'BEGIN {
    srand(7)
    for (i = 0; i < 400; i++) {
        if (what == "places") { printf "\\%03o\\%03o", i % 20, int(i / 20); continue }
        if (what == "others") { j = (i * 173) % 400; printf "\\%03o\\%03o", j % 20, int(j / 20); continue }
        if (what == "point") { printf "\\001\\002"; continue }
        if (what == "totals") { printf "\\%03o", 200 + i % 50; continue }
        state = rand()
        for (g = 0; g < 12; g++) {
            rate = what == "noise" ? 3 : g < 4 ? ((int(i % 20 / 5) + int(i / 100)) % 2 ? 8 : 2) * (state < 0.5 ? 1.5 : 0.5) : g % 3 + 1
            if (g == 11 && what == "counts") rate = i < 3 ? 4 : 0
            y = 0
            for (k = 0; k < 2 * rate; k++) y += rand() < 0.5
            if (what == "logged") printf "%s", y < 2 ? "\\000\\000\\000\\000" : y < 4 ? "\\232\\231\\031\\077" : "\\315\\314\\114\\077"
            else printf "\\%03o", y
        }
    }
}'; }
npy cells.npy '|u1' '400, 12' "$(bytes counts)"
npy noise.npy '|u1' '400, 12' "$(bytes noise)"
npy logged.npy '<f4' '400, 12' "$(bytes logged)"
npy grid.npy '|u1' '400, 2' "$(bytes places)"
npy others.npy '|u1' '400, 2' "$(bytes others)"
npy point.npy '|u1' '400, 2' "$(bytes point)"
npy totals.npy '|u1' '400, 1' "$(bytes totals)"
C="--counts cells.npy --coords grid.npy"
ok "measured data" "$tool" fit $C --out cells
holds "in words" log '^counts scaled to [0-9.]* a cell, log(1 + x), each gene with mean 0 and deviation 1, without the direction'
holds "a gene in few cells is left out" log 'warning: cells.npy: 1 genes .* fewer than 10 cells .*: g11$'
if grep -q 'another order' log; then failed=$((failed + 1)); echo "FAILED: the right order is warned of"; else passed=$((passed + 1)); fi
holds "contacts, tiles, what chance gives" log '^inter: .* pairs with q < 0.05 ([0-9]* with positions shuffled); [0-9]* contacts in 36 tiles'
holds "the same gene next door" log 'domain or spill-over'
holds "what explains a gene" log 'other genes next door *[-+]'
for f in intra inter intra_partial inter_partial intra_se inter_se; do ok "$f.npy" "$tool" info cells/$f.npy; done
holds "same_gene.csv" cells/same_gene.csv '^inter,g0,'
holds "genes.csv" cells/genes.csv '^gene,share_own_genes,share_same_gene_next_door,share_other_genes_next_door$'
ok "a gene in three cells, wanted" "$tool" fit $C --min-cells 3 --no-errors --out few
holds "is there" few/genes.txt g11
ok "coordinates in another order" "$tool" fit --counts cells.npy --coords others.npy --out others
holds "are told" log 'warning: .*in another order than the cells'
holds "no calls" others/report.json '"calls": 0, "calls_shuffled": 0}\]'
ok "noise" "$tool" fit --counts noise.npy --coords grid.npy --top-genes 6 --no-errors --out noise
holds "the ridge at its end" log 'warning: the ridge was picked at the heavy end'
ok "values that are no counts" "$tool" fit --counts logged.npy --coords grid.npy --no-errors --out logged
holds "are told" log 'warning: logged.npy: .* whole numbers.* --kind'
for k in lognorm intensity; do
    ok "$k" "$tool" fit --counts logged.npy --kind $k --coords grid.npy --k 8 --no-errors --out $k
    if grep -q 'whole numbers' log; then failed=$((failed + 1)); echo "FAILED: $k is warned of"; else passed=$((passed + 1)); fi
    ok "$k is known" "$tool" score --model $k --counts logged.npy --coords grid.npy
done
bad "other numbers than the model's" 1 "counts, but the model of lognorm was fitted on log-normalised" "$tool" score --model lognorm --counts logged.npy --kind counts --coords grid.npy
bad "unit rows for a model of counts" 1 "fitted on counts" "$tool" score --model cells --expression tissue/expression.npy --coords grid.npy
bad "counts for a model of unit rows" 1 "fitted on unit rows" "$tool" score --model model $C
bad "a kind of unit rows" 2 "--kind" "$tool" fit --expression tissue/expression.npy --kind counts --coords truth/coords.npy --out never
bad "totals of intensities" 2 "--total" "$tool" fit --counts logged.npy --kind intensity --total totals.npy --coords grid.npy --out never
npy ones.npy '|u1' '400, 1' "$(bytes point | sed 's/.002//g')"
fit_bad "totals below a row's sum" "total is below" --counts cells.npy --min-cells 3 --coords grid.npy --total ones.npy
ok "totals" "$tool" fit $C --total totals.npy --no-errors --out totals
holds "their median" log 'scaled to 224.5 a cell'
awk 'BEGIN { for (i = 0; i < 400; i++) print i == 210 ? "Rare" : "Common" }' > rare.txt
ok "a type of one cell" "$tool" fit $C --types rare.txt --out rare
holds "is not tested" log '^inter Common | Rare: 0 of [0-9]* pairs .* contacts in [0-9] tiles: fewer than 10 tiles, not tested'
npy eleven.npy '|u1' '2, 11' '\000\001\002\003\004\005\006\007\010\011\012\001\002\003\004\005\006\007\010\011\012\013'
ok "eleven edges" "$tool" fit $C --edges eleven.npy --allow-isolated --out eleven
holds "are not tested" log '^inter: 0 of .* 22 contacts in [0-9] tiles: fewer than 10 tiles, not tested'
ok "many neighbours" "$tool" fit $C --radius 7.5 --no-errors --out wide
holds "that is told" log 'warning: 1[0-9]* neighbours a cell'
fit_bad "all are neighbours" "399 neighbours a cell are half" --counts noise.npy --coords grid.npy --radius 100
fit_bad "all at one place" "every cell shares its place" --counts noise.npy --coords point.npy
ok "a small radius" "$tool" fit $C --radius 0.5 --allow-isolated --no-errors --out small
holds "that is told" log 'warning: --radius 0.5 is below the median distance to the nearest cell, 1: 400 of 400'
bad "decay without radius" 2 "--radius" "$tool" fit $C --decay 2 --out never
ok "neighbours that fade" "$tool" fit $C --radius 3 --decay 1 --no-errors --out fade
ok "are the model's" "$tool" score --model fade $C
ok "log Z that has not converged" "$tool" logz --model cells --coords grid.npy --sweeps 2 --repeats 4
holds "is no number" log 'not converged: single runs'
awk 'BEGIN { for (i = 0; i < 400; i++) print i % 20 < 10 ? "left" : "right" }' > half.txt
ok "centred by type" "$tool" fit $C --centre-by half.txt --no-errors --out centred
ok "read again" "$tool" score --model centred $C --centre-by half.txt
ok "types that the model does not know" "$tool" score --model centred $C
holds "are centred on their own" log 'does not know are centred on their own'
ok "a field of each slide" "$tool" fit $C --slides half.txt --out halves
ok "tissue from it" "$tool" simulate --model halves --coords grid.npy --sweeps 10 --warmup 10 --out drawn
bad "centred rows are not above 0" 2 "--orthant" "$tool" simulate --model cells --coords grid.npy --orthant --out never
bad "nor the published method's" 1 "not fitted on rows" "$tool" perturb --model cells $C --cell 3 --gene g1 --method paper --out never
K="knockout --model cells $C --cell 210 --gene g1 --repeats 3"
field() { awk -F, -v name="$2" -v key="^$3," 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i } $0 ~ key { print $c; exit }' "$1"; }
ok "a knock-out of counts" "$tool" $K --out zero
near "is no counts" 1 "$(awk -v x="$(field zero/effects.csv after_counts hop,0,g1)" 'BEGIN { print 1 + x }')"
near "from those observed" "$(field zero/effects.csv observed_counts hop,0,g1)" "$("$tool" info cells.npy > /dev/null; tail -c 4800 cells.npy | od -An -tu1 -v -w12 | awk 'NR == 211 { print $2 }')"
ok "a fold" "$tool" $K --fold 3 --out fold
near "of the observed" "$(field fold/effects.csv after_counts hop,0,g1)" "$(awk -v x="$(field fold/effects.csv observed_counts hop,0,g1)" 'BEGIN { print 3 * x }')"
ok "a level" "$tool" $K --value 4 --unit given --out level
near "of counts" "$(field level/effects.csv after_counts hop,0,g1)" 4
echo '210, g1, 4' > four.txt
ok "a level in a file" "$tool" perturb --model cells $C --interventions four.txt --unit given --repeats 3 --out level2
same "the same" level/effects.csv level2/effects.csv
bad "a level below 0" 1 "negative" "$tool" $K --value -1 --out never
bad "value and fold" 2 "exclude" "$tool" $K --value 1 --fold 2 --out never
bad "a unit of unit rows" 2 "--unit" "$tool" knockout --model model $T --cell 3 --gene g1 --unit log --out never

# ---- real slides ----
if [ -d "$shared/data" ]; then
    for s in osmfish_cortex merfish_mpoa xenium_breast st_mob st_bcl4; do
        d=$shared/data/$s extra=""
        [ $s = st_mob ] && extra="--top-genes 100"
        [ $s = st_bcl4 ] && extra="--top-genes 100 --slides $d/slides.txt"
        [ $s = xenium_breast ] && extra="--top-genes 100"
        for method in paper score; do
            ok "$s, $method" "$tool" fit --counts "$d/counts.npy" --coords "$d/coords.npy" --genes "$d/genes.txt" $extra --method $method --quiet --out "$s-$method"
        done
    done
    holds "four slides" st_bcl4-paper/report.json '"slides": 4'
    d=$shared/data/xenium_breast
    ok "a knock-out on a real slide" "$tool" knockout --model xenium_breast-score --counts "$d/counts.npy" --coords "$d/coords.npy" --genes "$d/genes.txt" --cell 6786 --gene LUM --repeats 4 --out lum
    near "from 151 counts" 151 "$(field lum/effects.csv observed_counts hop,0,LUM)"
    near "to none" 1 "$(awk -v x="$(field lum/effects.csv after_counts hop,0,LUM)" 'BEGIN { print 1 + x }')"
    ok "lower than without" sh -c "awk 'BEGIN { exit !($(field lum/effects.csv effect_log hop,0,LUM) < -1) }'"
    d=$shared/data/st_mob
    ok "more genes than cells" timeout 300 "$tool" fit --counts "$d/counts.npy" --coords "$d/coords.npy" --genes "$d/genes.txt" --top-genes 400 --no-errors --out more
    holds "converged" more/report.json '"converged": 1'
    g=$shared/golden/cce_small
    ok "golden fit" "$tool" fit --method paper --expression "$g/x.npy" --edges "$g/edges.npy" --inter0 "$g/inter0.npy" --intra0 "$g/intra0.npy" --epochs 200 --lr 0.001 --out golden
else
    echo "  skipped: ../shared is not here: no real slides"; skipped=$((skipped + 1))
fi
# The kinds of files that people have: the same pairs to the byte.
if /usr/bin/python3 -c 'import numpy, scipy' 2> /dev/null; then
    cat > doors.py << 'EOT'
import gzip, os, numpy as np, scipy.io, scipy.sparse as sp
r = np.random.RandomState(3)
n, cells = 8, 400
both = np.exp(0.7 * r.randn(cells))
rate = 8 * np.exp(0.5 * r.randn(cells, n)); rate[:, 1] = rate[:, 0] = 8 * both
x = r.poisson(rate); place = np.stack([np.arange(cells) % 20, np.arange(cells) // 20], 1).astype(float)
gene = ['G%d' % i for i in range(n)]; name = ['cell%03d' % i for i in range(cells)]
np.save('d.npy', x); np.save('d_xy.npy', place); open('d_genes.txt', 'w').write('\n'.join(gene) + '\n')
open('d.csv', 'w').write('cell,' + ','.join(gene) + '\n' + ''.join(name[i] + ',' + ','.join(map(str, x[i])) + '\n' for i in range(cells)))
order = r.permutation(cells)
open('d_xy.tsv', 'w').write('cell\tx\ty\n' + ''.join('%s\t%g\t%g\n' % (name[i], place[i][0], place[i][1]) for i in order))
os.makedirs('d_10x'); scipy.io.mmwrite('d.mtx', sp.csr_matrix(x.T))
gzip.open('d_10x/matrix.mtx.gz', 'wb').write(open('d.mtx', 'rb').read())
gzip.open('d_10x/features.tsv.gz', 'wt').write(''.join('E%d\t%s\tGene Expression\n' % (i, g) for i, g in enumerate(gene)))
gzip.open('d_10x/barcodes.tsv.gz', 'wt').write(''.join(i + '\n' for i in name))
sp.save_npz('d.npz', sp.csr_matrix(x))
EOT
    /usr/bin/python3 doors.py
    ok "counts as .npy" "$tool" fit --quiet --counts d.npy --coords d_xy.npy --genes d_genes.txt --out door_npy
    ok "counts as CSV, places by name" "$tool" fit --quiet --counts d.csv --coords d_xy.tsv --out door_csv
    ok "a 10x folder" "$tool" fit --quiet --counts d_10x --coords d_xy.tsv --out door_10x
    ok "a compressed .npz of SciPy" "$tool" fit --quiet --counts d.npz --coords d_xy.npy --genes d_genes.txt --out door_npz
    for d in csv 10x npz; do ok "the same pairs from $d" cmp door_npy/pairs.csv door_$d/pairs.csv; done
    sed -i '3s/^cell[0-9]*/nobody/' d_xy.tsv
    bad "a cell without a place" 1 "is not there" "$tool" fit --counts d.csv --coords d_xy.tsv --out door_bad
else echo "skipped: numpy and scipy not installed"; skipped=$((skipped + 1)); fi
done_here
