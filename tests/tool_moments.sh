#!/bin/sh
# The tool's moments, merge and fit --moments: parts add up to the whole, what does not fit is refused by name, a run
# that ends early leaves the old file. $1: the tool.
set -u
. "$(dirname "$0")/harness.sh"

# Two slides, grids of 18 x 18 cells and 8 genes, counts by a linear congruence: genes 0 and 1 go together, so do
# neighbours in genes 4 to 7. In one pair of files, and each by itself.
awk 'BEGIN {
    s = 7
    head = "cell,g0,g1,g2,g3,g4,g5,g6,g7"
    print head > "counts.csv"; print "cell,x,y" > "coords.csv"
    for (i = 0; i < 648; i++) {
        one = i < 324 ? "a" : "b"
        x = i % 18; y = int((i % 324) / 18); wave = sin(x / 2 + (i > 323)) * cos(y / 2)
        line = "c" i
        for (k = 0; k < 8; k++) {
            s = (s * 16807) % 2147483647; u = s / 2147483647
            s = (s * 16807) % 2147483647; v = s / 2147483647
            z = sqrt(-2 * log(u)) * cos(6.2831853 * v)
            if (k == 0) first = z
            if (k == 1) z = 0.8 * first + 0.6 * z
            line = line "," int(exp(2.2 + 0.5 * z + (k > 3 ? 0.6 * wave : 0) + (i > 323 ? 0.2 : 0)))
        }
        if (i % 324 == 0) { print head > one ".csv"; print "cell,x,y" > one "_coords.csv" }
        print line > "counts.csv"; print line > one ".csv"
        print "c" i "," x "," y > "coords.csv"; print "c" i "," x "," y > one "_coords.csv"
        print one > "slides.txt"
        print i % 3 ? "t" : "u" > "types.txt"
    }
}'
both="--counts counts.csv --coords coords.csv --slides slides.txt"
near() { # A B TOLERANCE: forces of two pairs.csv, pair by pair, relative to the largest; errors and tests, which a
    # jackknife has from small differences, to 20 times as much
    for f in "$1" "$2"; do sort "$f" > "$f.sorted"; done
    paste -d, "$1.sorted" "$2.sorted" | awk -F, -v t="$3" '
        $1 != "relation" { for (k = 4; k <= 9; k++) { d = $k - $(k + 10); d = d < 0 ? -d : d; s = $k < 0 ? -$k : $k
              if ($1 $2 $3 != $11 $12 $13) bad = 1
              if (s > top[k]) top[k] = s
              if (d > worst[k]) worst[k] = d } }
        END { for (k = 4; k <= 9; k++) if (!(worst[k] <= t * top[k] * (k > 6 ? 20 : 1))) { print "column " k ": " worst[k] " of " top[k]; bad = 1 }
              exit bad }'
}

# The whole, by moments, by bands, by slides.
"$tool" fit $both --out whole > whole.txt 2> /dev/null || exit 1
ok "moments" "$tool" moments $both --out both.npz
ok "fit from them" "$tool" fit --moments both.npz --out from_both
same "the same forces, to the bit" whole/inter.npy from_both/inter.npy
same "the same errors and tests" whole/pairs.csv from_both/pairs.csv
same "the same shares" whole/genes.csv from_both/genes.csv
"$tool" fit --moments both.npz --quiet --out again > from_both.txt
same "the same report, shuffled control too" whole.txt from_both.txt
holds "its report names them" from_both/report.json '"option": "moments"'
for i in 1 2 3; do ok "band $i" "$tool" moments $both --band $i/3 --out band$i.npz; done
ok "fit from bands" "$tool" fit --moments band3.npz band1.npz band2.npz --out from_bands
same "bands are the whole, to the bit" whole/pairs.csv from_bands/pairs.csv
ok "merge" "$tool" merge band3.npz band1.npz band2.npz --out merged.npz
ok "fit from the merged" "$tool" fit --moments merged.npz --out from_merged
same "merged or in one call" from_bands/pairs.csv from_merged/pairs.csv
ok "merge in two steps" sh -c "'$tool' merge band1.npz band3.npz --out two.npz 2> log && grep -q 'still to come' log && '$tool' merge two.npz band2.npz --out two.npz"
ok "fit from that" "$tool" fit --moments two.npz --out from_two
same "steps are the whole" whole/pairs.csv from_two/pairs.csv
for s in a b; do ok "slide $s" "$tool" moments --like whole --counts $s.csv --coords ${s}_coords.csv --slide-name $s --tiles 4 --out $s.npz; done
ok "fit from slides" "$tool" fit --moments a.npz b.npz --out from_slides
ok "slides are the whole" near whole/pairs.csv from_slides/pairs.csv 1e-5
ok "one slide alone" "$tool" moments --counts a.csv --coords a_coords.csv --out alone.npz
ok "fit of it" "$tool" fit --moments alone.npz --out from_alone
"$tool" fit --counts a.csv --coords a_coords.csv --quiet --out whole_a > /dev/null
same "it is that of the slide" whole_a/pairs.csv from_alone/pairs.csv
for m in whole_a from_alone; do
    ok "a knock-out by $m" "$tool" perturb --model $m --counts a.csv --coords a_coords.csv --cell c100 --gene g4 --value 0 --repeats 3 --out ko_$m
done
same "interventions alike" ko_whole_a/effects.csv ko_from_alone/effects.csv
ok "a tissue of it" "$tool" simulate --model from_alone --coords a_coords.csv --sweeps 5 --out drawn
ok "types" "$tool" moments $both --types types.txt --hops 2 --out typed.npz
"$tool" fit $both --types types.txt --hops 2 --quiet --out whole_typed > /dev/null
ok "fit of types" "$tool" fit --moments typed.npz --out from_typed
same "types are those of the slide" whole_typed/pairs.csv from_typed/pairs.csv
ok "like the types" "$tool" moments --like typed.npz $both --types types.txt --out typed_like.npz
ok "fit of those" "$tool" fit --moments typed_like.npz --out from_typed_like
ok "they are near" near whole_typed/pairs.csv from_typed_like/pairs.csv 1e-5
bad "types that are unknown" 1 'does not know' "$tool" moments --like typed.npz $both --types slides.txt --out never
# Centred within types: of a slide without a name, groups are called as a fit of the slide calls them.
head -324 types.txt > a_types.txt
for i in 1 2; do ok "centred within types, $i" "$tool" moments --counts a.csv --coords a_coords.csv --centre-by a_types.txt --band $i/2 --out centred$i.npz; done
ok "fit of those" "$tool" fit --moments centred1.npz centred2.npz --out from_centred
"$tool" fit --counts a.csv --coords a_coords.csv --centre-by a_types.txt --quiet --out whole_centred > /dev/null
same "they are those of the slide" whole_centred/pairs.csv from_centred/pairs.csv
for m in whole_centred from_centred; do "$tool" score --model $m --counts a.csv --coords a_coords.csv --centre-by a_types.txt --quiet > $m.txt || exit 1; done
same "their rows too" whole_centred.txt from_centred.txt
ok "without the control" "$tool" moments $both --no-shuffled --out bare.npz
ok "fit without it" "$tool" fit --moments bare.npz --out from_bare
holds "which is told" log 'without a shuffled control'
holds "and null" from_bare/report.json '"calls_shuffled": null'
ok "prepared rows" "$tool" moments --expression drawn/expression.npy --coords a_coords.csv --out rows.npz
ok "fit of prepared rows" "$tool" fit --moments rows.npz --no-errors --out from_rows
ok "show" "$tool" show both.npz

# One preparation for slides that are measured apart: each is like the mean of what they are by themselves.
for s in a b; do "$tool" moments --counts $s.csv --coords ${s}_coords.csv --quiet --out own_$s.npz || exit 1; done
for s in a b; do ok "like both, $s" "$tool" moments --like own_a.npz own_b.npz --counts $s.csv --coords ${s}_coords.csv --tiles 4 --out like_$s.npz; done
ok "fit of them" "$tool" fit --moments like_a.npz like_b.npz --out from_like
ok "near to the whole" near whole/pairs.csv from_like/pairs.csv 0.1

# Refusals, by name.
cut -d, -f1,3- a.csv > fewer.csv
sed '1s/g3/X3/' b.csv > renamed.csv
"$tool" moments --counts fewer.csv --coords a_coords.csv --quiet --out fewer.npz
"$tool" moments --counts renamed.csv --coords b_coords.csv --quiet --out renamed.npz
"$tool" moments --counts b.csv --coords b_coords.csv --k 5 --like own_a.npz --quiet --out k5.npz
"$tool" moments --counts b.csv --coords b_coords.csv --target-sum 100 --quiet --out target.npz
"$tool" moments --counts b.csv --coords b_coords.csv --kind lognorm --quiet --out kind.npz 2> /dev/null
bad "other genes" 1 'other genes, gene 0 (' "$tool" fit --moments own_a.npz fewer.npz --out never
bad "a gene of another name" 1 'other genes, gene 3 (X3; g3)' "$tool" merge own_a.npz renamed.npz --out never
bad "another scale" 1 'scale, gene 0 (g0; g0)' "$tool" fit --moments own_a.npz own_b.npz --out never
bad "other neighbours" 1 'another number of neighbours' "$tool" fit --moments own_a.npz k5.npz --out never
bad "another target" 1 'another ' "$tool" fit --moments own_a.npz target.npz --out never
bad "another kind" 1 'another ' "$tool" fit --moments own_a.npz kind.npz --out never
bad "the same slide twice" 1 'twice? Slide a' "$tool" fit --moments a.npz a.npz --out never
bad "the same band twice" 1 'twice? Slide a' "$tool" merge band1.npz band1.npz --out never
for i in 1 2; do "$tool" moments $both --band $i/2 --tiles $((8 - 2 * i)) --quiet --out tiles$i.npz; done
bad "bands of other tiles" 1 'another number of tiles a side. Slide a' "$tool" fit --moments tiles1.npz tiles2.npz --out never
bad "a band is missing" 1 'cells are missing' "$tool" fit --moments band1.npz band3.npz --out never
bad "only one with a control" 1 'shuffled control' "$tool" fit --moments a.npz b.npz bare.npz --out never
head -c 3000 a.npz > cut.npz
bad "cut short" 1 'cut.npz: ' "$tool" fit --moments cut.npz --out never
printf 'X' | { cat a.npz; cat > x; }> flip.npz; size=$(wc -c < a.npz)
printf 'X' | dd of=flip.npz bs=1 seek=$((size / 2)) conv=notrunc 2> /dev/null
bad "a byte changed" 1 'CRC-32\|checksum' "$tool" fit --moments flip.npz --out never
bad "a model" 1 'not of moments' "$tool" fit --moments whole/model.npz --out never
bad "not for perturb" 1 'not a folder\|Not a directory' "$tool" perturb --model a.npz --counts a.csv --coords a_coords.csv --cell 1 --gene g1 --out never
bad "options of a slide" 2 'no effect with --moments' "$tool" fit --moments a.npz --counts a.csv --out never
bad "a file without --moments" 2 'is not an option' "$tool" fit a.npz --out never
bad "more bands than tiles" 1 'fewer tiles' "$tool" moments --counts a.csv --coords a_coords.csv --tiles 2 --band 1/5 --out never
bad "a bad band" 2 'from 1 to N' "$tool" moments $both --band 4/3 --out never
bad "like, and genes" 2 'no effect with --like' "$tool" moments --like whole --top-genes 4 $both --out never
bad "no files" 2 'needs files' "$tool" merge --out never
bad "no folder" 1 'No such file' "$tool" merge a.npz --out nowhere/m.npz

# A full disk, and kill -9 at any moment: the old file or the new one.
cp both.npz old.npz
full_disk() { (ulimit -f 1; trap '' XFSZ; "$tool" merge a.npz b.npz --out old.npz) && return 1; cmp -s old.npz both.npz; }
ok "a full disk leaves the old file" full_disk
killed() {
    "$tool" merge a.npz b.npz --quiet --out new.npz || return 1
    for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
        cp both.npz old.npz
        "$tool" merge a.npz b.npz --quiet --out old.npz & pid=$!
        awk -v n=$n 'BEGIN { for (i = 0; i < n * 20000; i++) x += i }'
        kill -9 $pid 2> /dev/null
        wait $pid 2> /dev/null
        cmp -s old.npz both.npz || cmp -s old.npz new.npz || return 1
    done
}
ok "kill -9 leaves the old file or the new one" killed

# Other engines: a job array, and the sums in Python.
mkdir array bin && ln -s "$tool" bin/celcomen
array() (
    cd array || exit 1
    PATH=$tmp/bin:$PATH
    for SLURM_ARRAY_TASK_ID in 1 2 3 4; do
        export SLURM_ARRAY_TASK_ID SLURM_ARRAY_TASK_COUNT=4
        sh "$root/examples/moments_array.sh" ../a.csv ../a_coords.csv ../genes.txt || exit 1
    done
    celcomen fit --moments band_*.npz --out model
)
printf 'g0\ng1\ng2\ng3\ng4\ng5\ng6\ng7\n' > genes.txt
ok "a job array" array
same "its forces are the slide's" whole_a/pairs.csv array/model/pairs.csv
if /usr/bin/python3 -c 'import numpy' 2> /dev/null; then
    ok "sums in Python" /usr/bin/python3 "$root/examples/add_moments.py" python.npz band2.npz band3.npz band1.npz
    ok "fit of them" "$tool" fit --moments python.npz --out from_python
    same "they are the whole" whole/pairs.csv from_python/pairs.csv
    refused() { ! /usr/bin/python3 "$root/examples/add_moments.py" never.npz "$@" 2> said && grep -q "prepared otherwise: $what differ" said; }
    what=.* ok "other preparations are refused there too" refused own_a.npz own_b.npz
    what=slide_tiles ok "bands of other tiles too" refused tiles1.npz tiles2.npz
    forged() { # FIRST LAST: own_a.npz with a span that it has not, and a checksum that fits
        /usr/bin/python3 -c 'import sys
sys.path.insert(0, sys.argv[1])
from add_moments import np, read, write
m = read("own_a.npz")
m["spans"] = np.array([[0, int(sys.argv[2]), int(sys.argv[3])]])
write("forged.npz", m)' "$root/examples" "$1" "$2"
    }
    for span in "5 5" "9 3" "-4611686018427387904 4611686018427387904"; do
        forged $span
        bad "like cells that are none, $span" 1 'forged.npz: moments of cells' "$tool" moments --like own_a.npz forged.npz --counts b.csv --coords b_coords.csv --out never
    done
else skip "NumPy not installed"; fi
done_here
