#!/bin/sh
# The tool where things go wrong around it: full disks, signals, large offsets, large seeds, other locales. $1: the tool.
set -u
. "$(dirname "$0")/harness.sh"
"$tool" plant --quiet --n-genes 6 --side 20 --out truth || exit 1
"$tool" simulate --quiet --sweeps 20 --inter truth/inter.npy --intra truth/intra.npy --coords truth/coords.npy --out tissue || exit 1
fit="--expression tissue/expression.npy"

# A folder holds one whole result or another: what cannot be written leaves the earlier one, file by file.
P3_a_full_disk_leaves_the_old_result() {
    "$tool" fit $fit --coords truth/coords.npy --quiet --out old && cp -r old before || return 1
    # No file may be longer than a block: the first larger one fails.
    (ulimit -f 1; trap '' XFSZ; "$tool" fit $fit --coords truth/coords.npy --quiet --ridge 5 --out old) && return 1
    diff -r old before && [ -z "$(find old -name '.celcomen*' -o -name '*.tmp*')" ]
}
P4_a_full_standard_output_is_an_error() {
    for command in "score --model old $fit --coords truth/coords.npy" "info tissue/expression.npy" "--help" "--version"; do
        if "$tool" $command --quiet > /dev/full 2> message; then echo "$command"; return 1; fi
    done
    grep -q . message
}
P13_whole_numbers_stay_whole() {
    for seed in 9007199254740993 9223372036854775807; do
        "$tool" plant --quiet --n-genes 4 --side 5 --seed $seed --out seed && grep -q "\"seed\": $seed," seed/report.json || return 1
        cp seed/inter.npy "inter_$seed.npy"
    done
    "$tool" plant --quiet --n-genes 4 --side 5 --seed 9007199254740992 --out seed || return 1
    ! cmp -s seed/inter.npy inter_9007199254740993.npy || return 1
    "$tool" plant --quiet --n-genes 4 --side 5 --seed 1e3 --out a && "$tool" plant --quiet --n-genes 4 --side 5 --seed 1000 --out b &&
        cmp a/inter.npy b/inter.npy && ! "$tool" plant --quiet --seed 1.5 --out c && ! "$tool" plant --quiet --seed 1e30 --out c && [ ! -e c ]
}
# Places as stages and maps have them: far from the origin.
F07_an_offset_does_not_move_neighbours() {
    awk 'BEGIN { print "x,y"; for (i = 0; i < 400; i++) printf "%.10g,%.10g\n", i % 20 + (i * 7919 % 64) / 64, int(i / 20) + (i * 104729 % 64) / 64 }' > near.csv
    awk -F, 'NR == 1 { print; next } { printf "%.6f,%.6f\n", $1 + 100000000, $2 - 3000000000 }' near.csv > far.csv
    for at in near far; do "$tool" fit $fit --coords $at.csv --quiet --out at_$at || return 1; done
    cmp at_near/inter.npy at_far/inter.npy || return 1
    echo "cells within 2.5 of 5,5, g1, 0" > near.txt
    echo "cells within 2.5 of 100000005,-2999999995, g1, 0" > far.txt
    for at in near far; do
        "$tool" knockout --model at_$at $fit --coords $at.csv --interventions $at.txt --repeats 2 --quiet --out do_$at || return 1
    done
    cmp do_near/after.npy do_far/after.npy
}
# The first signal ends the work: nothing half-written, nothing left behind, and the shell is told of the signal.
interrupted() {
    rm -rf stopped
    "$tool" logz --model old --coords truth/coords.npy --repeats 50 --sweeps 20000 --quiet > stopped.txt 2> message & pid=$!
    sleep 0.5
    kill -"$1" $pid
    wait $pid
    [ $? -eq "$2" ] && grep -q stopped message && [ ! -s stopped.txt ] || return 1
    "$tool" simulate --model old --coords truth/coords.npy --sweeps 2000000 --quiet --out stopped 2> message & pid=$!
    sleep 0.5
    kill -"$1" $pid
    wait $pid
    [ $? -eq "$2" ] && [ ! -e stopped ]
}
decimal_commas() {
    de=$(locale -a 2> /dev/null | grep -m1 -E '^(de|fr|nl|it|es)_.*(utf8|UTF-8)') || return 0
    LC_ALL=$de "$tool" fit $fit --coords truth/coords.npy --ridge 0.5 --quiet --out comma &&
        "$tool" fit $fit --coords truth/coords.npy --ridge 0.5 --quiet --out point && cmp comma/inter.npy point/inter.npy
}
ok "P3 a full disk leaves the old result" P3_a_full_disk_leaves_the_old_result
if [ -e /dev/full ]; then ok "P4 a full standard output is an error" P4_a_full_standard_output_is_an_error; else skip "no /dev/full"; fi
ok "P13 whole numbers stay whole" P13_whole_numbers_stay_whole
ok "F07 an offset does not move neighbours" F07_an_offset_does_not_move_neighbours
ok "Ctrl-C" interrupted INT 130
ok "a terminated run" interrupted TERM 143
ok "decimal commas" decimal_commas
done_here
