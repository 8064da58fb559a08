#!/bin/sh
# fit --chosen: two genes of many against all, with a force of each kind planted; what is written, what is refused, and
# that no model comes of it. $1: the tool.
set -u
. "$(dirname "$0")/harness.sh"

# 24 genes on 40 x 40 cells, forces within and between of which the strongest ones are looked for.
"$tool" plant --quiet --n-genes 24 --side 40 --scale 4 --share 0.1 --seed 5 --format csv --out truth || exit 1
"$tool" simulate --quiet --sweeps 60 --intra truth/intra.csv --inter truth/inter.csv --coords truth/coords.csv --seed 6 --format csv --out slide || exit 1
strongest() { # FILE: its largest force off the diagonal, as "row column"
    awk -F, 'NR == 1 { for (i = 2; i <= NF; i++) name[i] = $i; next } { for (i = 2; i <= NF; i++) if ($1 != name[i] && $i * $i > best) { best = $i * $i; pair = $1 " " name[i] } } END { print pair }' "$1"
}
set -- "$tool" $(strongest truth/intra.csv) $(strongest truth/inter.csv)
a=$2 b=$3 c=$4 d=$5
rows="--counts slide/expression.csv --kind intensity --coords truth/coords.csv"

planted_forces_are_found() {
    names=$a
    [ "$c" = "$a" ] || names=$a,$c
    "$tool" fit $rows --chosen "$names" --out fit > out 2> notes || return 1
    head -1 fit/chosen.csv | grep -qx 'relation,gene,partner,partial,se,z,p,q' || return 1
    [ "$(awk -F, -v g="$a" '$1 == "intra" && $2 == g { print $3; exit }' fit/chosen.csv)" = "$b" ] || return 1
    [ "$(awk -F, -v g="$c" -v h="$d" '$1 == "inter" && $2 == g && $3 == h && $8 < 0.05' fit/chosen.csv | wc -l)" -eq 1 ] || return 1
    grep -q "^intra: [1-9]" out && grep -q 'with positions shuffled' out || return 1
    grep -q '"method": "chosen"' fit/report.json && grep -q '"factors": 1,' fit/report.json && grep -q '"calls_shuffled": 0' fit/report.json || return 1
    [ ! -e fit/model.npz ] && [ -f fit/chosen.npz ] && [ "$(wc -l < fit/genes.txt)" -eq 24 ]
}
a_list_in_a_file_is_the_same() {
    echo "$names" | tr , '\n' > list.txt
    "$tool" fit $rows --chosen list.txt --quiet --out list > /dev/null && cmp fit/chosen.csv list/chosen.csv && cmp fit/chosen.npz list/chosen.npz
}
without_errors_there_are_forces() {
    "$tool" fit $rows --chosen "$a" --no-errors --out plain > out 2> notes || return 1
    [ "$(wc -l < plain/chosen.csv)" -eq 41 ] && grep -q "^intra,$a,$b,[-0-9.e]*,,,,\$" plain/chosen.csv && ! grep -q 'q < 0.05' out
}
ok "planted forces are found" planted_forces_are_found
ok "a list in a file is the same" a_list_in_a_file_is_the_same
ok "without errors there are forces" without_errors_there_are_forces
"$tool" show fit/chosen.npz > shown 2>&1
holds "the archive is read" shown partial
bad "a gene that is none" 1 "'$a.' is none of the 24 genes" "$tool" fit $rows --chosen "$a." --out never
bad "a gene twice" 1 "$a stands there twice" "$tool" fit $rows --chosen "$a,$b,$a" --out never
: > empty.txt
bad "an empty list" 1 "no genes" "$tool" fit $rows --chosen empty.txt --out never
bad "no ridge" 2 "take one above 0" "$tool" fit $rows --chosen "$a" --ridge 0 --out never
bad "other methods" 2 "chosen has no effect with --method paper" "$tool" fit $rows --chosen "$a" --method paper --out never
bad "types" 2 "types has no effect with --chosen" "$tool" fit $rows --chosen "$a" --types slide/expression.csv --out never
bad "no model for a knock-out" 1 "partners of chosen genes .*--top-genes" "$tool" perturb --model fit $rows --cell 3 --gene "$a" --out never
done_here
