#!/bin/sh
# fit --conditions: two forces changed in one condition, none in another, over slides of animals. $1: the tool.
set -u
. "$(dirname "$0")/harness.sh"
bad() { # STATUS WORDS COMMAND..: one line that says so, and nothing written
    want=$1 words=$2
    shift 2
    "$@" --out never > message 2>&1
    [ $? -eq "$want" ] && grep -q -- "$words" message && [ "$(grep -c '^celcomen: ' message)" -eq 1 ] && [ ! -e never ]
}

# Three slides of 32 x 32 cells, 14 genes: control, treated (g1's forces on g4 and g7 are others), sham (none is).
"$tool" plant --quiet --n-genes 14 --side 32 --scale 2 --share 0.3 --seed 3 --format csv --out truth || exit 1
awk -F, -v OFS=, 'NR > 1 && $1 == "g1" { $6 += 6; $9 -= 6 } NR > 1 && ($1 == "g4" || $1 == "g7") { $3 += $1 == "g4" ? 6 : -6 } { print }' \
    truth/intra.csv > treated.csv
sed -n 1p truth/coords.csv > coords.csv
shift=0
for slide in control treated sham; do
    forces=truth/intra.csv
    [ $slide != treated ] || forces=treated.csv
    "$tool" simulate --quiet --sweeps 100 --intra $forces --inter truth/inter.csv --coords truth/coords.csv --seed 1$shift --format csv --out $slide || exit 1
    [ -f rows.csv ] || sed -n 1p $slide/expression.csv > rows.csv
    tail -n +2 $slide/expression.csv | sed "s/^/$slide/" >> rows.csv
    tail -n +2 truth/coords.csv >> coords.csv
    awk -v s=$slide 'NR > 1 { print s }' truth/coords.csv >> slides.txt
    awk -v s=$slide 'NR > 1 { print s "_" int((NR - 2) / 64) }' truth/coords.csv >> animals.txt # 16 strips each
    shift=$((shift + 1))
done
fit="fit --counts rows.csv --kind intensity --coords coords.csv --slides slides.txt"

planted_forces_are_called() {
    "$tool" $fit --conditions slides.txt --control control --report page.html --out fit > out 2> notes || return 1
    grep -q "with q below .05: [1-9]" page.html || return 1
    [ "$(sed -n "/What the conditions change/,/The strongest pairs/p" page.html | grep -c "<tr><td>treated")" -ge 3 ] || return 1
    grep -q '^condition,relation,gene_a,gene_b,shift,se,q,sparse$' fit/shifts.csv && grep -q '^condition,gene,shift,se,q$' fit/targets.csv || return 1
    [ "$(wc -l < fit/shifts.csv)" -eq 365 ] && [ "$(wc -l < fit/targets.csv)" -eq 29 ] || return 1
    # The two largest shifts are those, up and down; the gene that they share is the first target, and the sham has none.
    awk -F, '$1 == "treated" && $2 == "intra" && $7 < 0.05 { print $3 $4 ($5 > 0 ? "+" : "-") }' fit/shifts.csv | head -2 | sort > called
    printf 'g1g4+\ng1g7-\n' | cmp - called || return 1
    [ "$(awk -F, '$1 == "treated"' fit/targets.csv | head -1 | cut -d, -f2)" = g1 ] || return 1
    [ "$(awk -F, '$1 == "sham" && $7 < 0.05' fit/shifts.csv | wc -l)" -eq 0 ] && [ "$(awk -F, '$1 == "sham" && $5 < 0.05' fit/targets.csv | wc -l)" -eq 0 ] || return 1
    grep -q 'treated beside control' out && grep -q '"conditions": 3' fit/report.json
}
animals_are_replicates() {
    "$tool" $fit --conditions slides.txt --control control --replicates animals.txt --out animals > out 2> notes &&
        grep -q '"shift_replicates": 48' animals/report.json && ! cmp -s fit/shifts.csv animals/shifts.csv
}
the_main_fit_is_as_without() {
    "$tool" $fit --quiet --out plain > /dev/null && cmp plain/pairs.csv fit/pairs.csv && [ ! -e plain/shifts.csv ]
}
what_is_wrong_is_said() {
    awk '{ print "all" }' slides.txt > one.txt
    awk 'NR == 1 { print "lonely"; next } { print }' slides.txt > few.txt
    bad 2 '--control NAME' "$tool" $fit --conditions slides.txt || return 1
    bad 2 'without --conditions' "$tool" $fit --control control || return 1
    bad 1 "no condition 'contrl': did you mean\|no condition 'contrl'" "$tool" $fit --conditions slides.txt --control contrl || return 1
    bad 1 'all cells are of one condition' "$tool" $fit --conditions one.txt --control all || return 1
    bad 1 "'lonely' has fewer than two tiles" "$tool" $fit --conditions few.txt --control control || return 1
    bad 2 'no effect' "$tool" fit --expression rows.csv --coords coords.csv --conditions slides.txt --control control
}
for t in planted_forces_are_called animals_are_replicates the_main_fit_is_as_without what_is_wrong_is_said; do ok $t $t; done
done_here
