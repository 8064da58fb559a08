#!/bin/bash
# The 27 faults that users of such tools reported (../shared/cases, a script each): all of them, on the tool as it is.
#     bash tests/cases.sh [TOOL [NAME]]   skipped where the scripts or python3-numpy are not
# Four scripts ask in words or of files that are no more; what stands here asks the same of what took their place.
set -u
shared=${CELCOMEN_SHARED:-../shared}
cases=$(cd "$shared/cases" 2> /dev/null && pwd) || { echo "skipped: no $shared/cases"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
export SRC=$PWD TOOL=${1:-$PWD/build/celcomen} PY=${PY:-/usr/bin/python3}
case $TOOL in /*) ;; *) TOOL=$PWD/$TOOL ;; esac
"$PY" -c 'import numpy, scipy' 2> /dev/null || { echo "skipped: python3-numpy, python3-scipy"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }

# Counts are standardised now, and a fit of such rows is of another J than `score` prints; so the question is put to unit
# rows (as in tests/test_tool.sh, H4). model.npz carries the field, field.npy is for whoever wants to look.
asks_F01() {
    "$PY" -c "import numpy as np; c = np.log1p(np.load('counts.npy')); c = c - c.mean(0); np.save('unit.npy', c / np.linalg.norm(c, axis=1)[:, None])"
    A="--expression unit.npy --coords coords.npy --genes genes.txt"
    "$TOOL" fit $A --field shared --method score-exact --ridge 0 --quiet --out m > log 2>&1 || cat log
    want=$(awk -F'[:,]' '/"value_per_cell"/ { print $2 + 0 }' m/report.json)
    got=$("$TOOL" score --model m $A --quiet 2>&1 | awk '/score J, exact/ { print $6 }')
    check "score J, $got, is the fit's, $want" awk -v a="$want" -v b="$got" 'BEGIN { exit !(a < 0 && (a - b) ^ 2 < 1e-6 * a * a) }'
    mv m/field.npy away.npy
    check "a model whose field.npy is gone scores the same" test "$("$TOOL" score --model m $A --quiet 2>&1 | awk '/score J, exact/ { print $6 }')" = "$got"
    "$TOOL" fit $A --field none --method score-exact --ridge 0 --quiet --out none > log 2>&1 || cat log
    for m in m none; do "$TOOL" simulate --model $m --coords coords.npy --sweeps 20 --quiet --out of_$m > log 2>&1 || cat log; done
    if cmp -s of_m/expression.npy of_none/expression.npy; then fail "simulate does not use the field"; else pass "simulate uses the field"; fi
}
# cel_fit_student_p is cel_student_p now.
asks_F19() {
    sed 's/cel_fit_student_p/cel_student_p/' "$cases/F19-lgamma-data-race/run.sh" | sed -n "/^cat > t.c/,/^C\$/p" | sed '1d;$d' > t.c
    gcc -g -O1 -fsanitize=thread -I"$SRC" t.c -o t -lm -lpthread || { fail "does not compile"; return; }
    ./t > log 2>&1
    if grep -q "data race" log; then fail "$(grep -m1 -A6 'data race' log)"; else pass "no race"; fi
}
# More files than then; what a fit writes is listed in its report.
asks_R02() {
    "$TOOL" fit $A --types types.txt --field shared --quiet --out m > log 2>&1 || cat log
    "$TOOL" fit $A --no-errors --quiet --out m > log 2>&1 || cat log
    sed -n 's/.*"files": \[\(.*\)\].*/\1/p' m/report.json | tr -d '" ' | tr ',' '\n' | sort > listed
    ls m | sort > there
    check "what lies in the folder is what this fit wrote" diff listed there
    check "standard errors and forces of types are gone" sh -c '! ls m | grep -qE "_se|_B_|_T"'
}
# A sparse .npz is read as counts and a COO one as a graph, so there is nothing left to say of them; --value 2 is a value
# like another. The other ten messages are asked for as they were.
asks_R07() {
    grep -vE '^s "(a sparse .npz|coo graph|--value 2)|^finish|common.sh' "$cases/R07-messages/run.sh" > asks.sh
    . ./asks.sh
    "$PY" -c "import numpy as np, scipy.sparse as sp; e = np.eye(400, k=1) + np.eye(400, k=-1); sp.save_npz('coo.npz', sp.coo_matrix(e)); sp.save_npz('csr.npz', sp.csr_matrix(e))"
    for c in s.npz counts.npy; do "$TOOL" fit --counts $c --coords coords.npy --quiet --out of_$c > log 2>&1 || cat log; done
    check "sparse counts give what dense ones give" cmp of_s.npz/intra.npy of_counts.npy/intra.npy
    for g in coo csr; do "$TOOL" fit --counts counts.npy --edges $g.npz --quiet --out of_$g > log 2>&1 || cat log; done
    check "a COO graph is what the CSR one is" cmp of_coo/inter.npy of_csr/inter.npy
    check "--value 2 is taken" "$TOOL" knockout --model m $A --cell 3 --gene GENE1 --value 2 --quiet --out z
}

passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for script in "$cases"/${2:-[FR][0-9]*}/run.sh; do
    name=$(basename "$(dirname "$script")")
    if command -v "asks_${name%%-*}" > /dev/null; then (. "$cases/common.sh"; CASE=$name; "asks_${name%%-*}"; finish) > "$log" 2>&1
    else bash "$script" > "$log" 2>&1; fi
    if [ $? -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $name"; grep -vE '^  pass' "$log" | tail -20; fi
done
echo "cases: $passed of $((passed + failed)) print right behaviour"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
