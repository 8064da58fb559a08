#!/bin/sh
# examples/sparse_shift_vae.c: every gradient against finite differences in double; a small experiment in which sparse
# shifts must be worth something; the same bits for one thread and two; options that are refused.
# Usage: sh tests/svae.sh BUILD
set -u
: "${CC:=cc}"
B=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0
ok() { # NAME COMMAND...: exits with 0
    name=$1
    shift
    if "$@" > "$tmp/log" 2>&1; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $name: $*"; tail -5 "$tmp/log"; fi
}
figure() { awk -F '|' -v row="$1" -v column="$2" '$2 == " " row " " { print $column + 0; exit }' "$tmp/two"; }
above() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > b) }'; }

ok "it compiles in double" "$CC" -O1 -DCELCOMEN_DOUBLE -I. examples/sparse_shift_vae.c -o "$tmp/double" -lm
ok "every gradient to 1e-5" sh -c "'$tmp/double' --check > '$tmp/check'"
ok "76 blocks of parameters were checked" grep -q '^76 blocks of gradients, 0 beyond 1e-05' "$tmp/check"
# Wrong gradients must be seen: 2 % more of every pull on a shift.
sed 's/p\.mu = -gate \* p\.code;/p.mu = -1.02 * gate * p.code;/' examples/sparse_shift_vae.c > "$tmp/wrong.c"
ok "a wrong gradient compiles" "$CC" -O1 -DCELCOMEN_DOUBLE -I. "$tmp/wrong.c" -o "$tmp/wrong" -lm
ok "a wrong gradient is seen" sh -c "! '$tmp/wrong' --check && '$tmp/wrong' --check | grep 'shifts mu' | grep -q FAILED"

small="--interventions 40 --unseen 8 --cells 100 --genes 45 --latents 5 --hidden 32 --epochs 60 --warm 20 --ramp 30
       --turn 15 --batch 64 --rate 4e-3 --k 40 --samples 50 --seeds 1 --seed 3 --quiet 1"
ok "one thread" env OMP_NUM_THREADS=1 sh -c "'$B/sparse_shift_vae' $(echo $small) > '$tmp/one'"
ok "two threads" env OMP_NUM_THREADS=2 sh -c "'$B/sparse_shift_vae' $(echo $small) > '$tmp/two'"
ok "the same bits" cmp "$tmp/one" "$tmp/two"
# Columns of the table: 3 MCC, 5 F1 with the best threshold, 8 F1 of the method's gates, 9 ELBO, 10 IWELBO.
for m in "sVAE+" "sVAE+ E" "sVAE+ R"; do
    ok "$m: MCC $(figure "$m" 3), the VAE's $(figure VAE 3)" above "$(figure "$m" 3)" "$(figure VAE 3)"
    ok "$m: targets, F1 $(figure "$m" 8)" above "$(figure "$m" 8)" .6
    ok "$m: the weighted bound $(figure "$m" 10) above $(figure "$m" 9)" above "$(figure "$m" 10)" "$(figure "$m" 9)"
done
ok "sVAE+ R: MCC $(figure "sVAE+ R" 3), ICA's $(figure ICA 3)" above "$(figure "sVAE+ R" 3)" .9
ok "sVAE+ R: targets, F1 $(figure "sVAE+ R" 8), ICA's $(figure ICA 5)" above "$(figure "sVAE+ R" 8)" .9
ok "an unknown option is refused" sh -c "! '$B/sparse_shift_vae' --nosuch 1"
ok "a setting out of range is refused" sh -c "! '$B/sparse_shift_vae' --latents 41"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
