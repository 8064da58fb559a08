#!/bin/sh
# The README's table: every check of the file's robustness, short or long, and what it counted.
#     sh tests/reliability.sh BUILD [short|long [STEPS]]
# A step's log stays in BUILD/reliability with the state of celcomen.h that it looked at. Without STEPS all are run, two at
# a time; with them only those, and the table is made of the logs that there are: a row of another state says so. The
# table goes to standard output and between its two marks into README.md, so that nobody writes it by hand. The last line
# is the sum of what this run's steps tell.
set -u
B=$1 how=${2:-short}
lane1="tool suites wasm sanitizers analysers" lane2="bits switches cases allocations fuzz coverage mutants"
# Of 20 mutants 15 are asked, since 20 say little; of 200, 85 %.
steps=${3-$lane1 $lane2} seconds=5 mutants="--count 20 --plain --least 75"
[ "$how" = short ] || { seconds=600 mutants="--count 200 --least 85"; }
: "${OMP_WAIT_POLICY:=passive}" # a thread that waits leaves its processor to the other lane
export OMP_WAIT_POLICY
logs=$B/reliability
mkdir -p "$logs"
state=$(cksum < celcomen.h | tr ' ' '-')
wanted() { case " $steps " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }
run() { # NAME COMMAND...: its log, kept
    name=$1
    shift
    wanted "$name" || return 0
    echo "== $name" >&2
    echo "state $state $how" > "$logs/$name.new"
    "$@" >> "$logs/$name.new" 2>&1
    mv "$logs/$name.new" "$logs/$name"
    tally "$name" >&2
}
tally() { grep -E '^[0-9]+ passed, [0-9]+ failed' "$logs/$1" 2> /dev/null | tail -1; }
of() { sed -n "s/^$2: //p" "$logs/$1" 2> /dev/null | tail -1; }
allocations() { make -s "$B/alloc" && "$B/alloc"; }
row() { # NAME TITLE MEASURED
    if [ ! -f "$logs/$1" ]; then echo "| $2 | not run |"; return; fi
    [ "$(sed -n '1s/^state \([^ ]*\).*/\1/p' "$logs/$1")" = "$state" ] && of= || of=", of an earlier state of the file"
    echo "| $2 | $3$of |"
}
# BUILD/fuzz/ledger.txt: state, target, seconds of a processor, runs, exit status of every run so far
fuzzed() {
    awk -v state="$state" '
        { t[$2] += $3; runs += $4; bad += $5 != 0 } $1 == state { now[$2] += $3; here += $4; wrong += $5 != 0 }
        END {
            for (k in t) { n++; if (least == "" || now[k] + 0 < least) least = now[k] + 0; if (now[k] + 0 > most) most = now[k] + 0; all += t[k] }
            printf "%d targets, %d to %d s each, %.1f million runs, %d findings; with earlier states %.0f CPU-minutes, %.0f million runs", n, least, most, here / 1e6, wrong, all / 60, runs / 1e6
        }' "$B/fuzz/ledger.txt" 2> /dev/null
}
lane() {
    for step in $1; do
        case $step in
        cases) run cases bash tests/cases.sh "$B/celcomen" ;;
        allocations) run allocations allocations ;;
        sanitizers) run sanitizers sh tests/sanitize.sh "$B" "$how" ;;
        fuzz) run fuzz sh tests/fuzz.sh "$B" $seconds ;;
        # shellcheck disable=SC2086
        mutants) run mutants python3 tests/mutate.py $mutants ;;
        # shellcheck disable=SC2046
        coverage) run coverage sh tests/coverage.sh "$B" $([ "$how" = long ] || echo brief) ;;
        analysers) run analysers sh tests/analyse.sh "$how" ;;
        *) run "$step" sh tests/portability.sh "$how" "$step" ;;
        esac
    done
}
if wanted cases; then make -s tool; fi
lane "$lane1" &
lane "$lane2"
wait
{
    echo "| what | measured |"
    echo "|---|---|"
    row bits "the same bits: compilers, options, threads" "$(tally bits)"
    row switches "switches, and MSVC's reading" "$(tally switches)"
    row suites "suites on other machines" "$(of suites portability), $(tally suites)"
    for part in suites wasm; do
        sed -n 's/^  ok: \(.*\): \([0-9]* suites, \)\([0-9]* passed\), 0 failed, \([0-9]*\) skipped/| \&nbsp; \1 | \2\3, \4 skipped |/p' "$logs/$part" 2> /dev/null
        sed -n 's/^FAILED: \(.*\)/| \&nbsp; \1 | **failed** |/p; s/^  skipped: \(.* not installed.*\)/| \&nbsp; \1 | skipped |/p' "$logs/$part" 2> /dev/null
    done | sed 's/ -DCELCOMEN_FLOAT//; s/ -DCELCOMEN_DOUBLE/, double/'
    row wasm "WebAssembly in node" "$(tally wasm)"
    row tool "the tool on Windows (wine)" "$(tally tool)"
    row cases "faults reported of such tools" "$(of cases cases)"
    row allocations "allocations refused, one at a time" "$(awk '/ allocations$/ { n += $(NF - 1) } END { print n + 0 }' "$logs/allocations" 2> /dev/null) in scenarios that call every function that can fail: $(tally allocations)"
    row sanitizers "MSan, TSan, helgrind, valgrind" "$(sed -n 's/^  \([^:]*\): 0 findings, exit status 0.*/\1/p' "$logs/sanitizers" 2> /dev/null | awk '{ s = s (NR > 1 ? "; " : "") $0 } END { print s }'): nothing; $(of sanitizers sanitizers)"
    row fuzz "fuzzing" "$(fuzzed)"
    row mutants "changed operators noticed by a test" "$(of mutants mutants)"
    row coverage "coverage of celcomen.h" "$(of coverage coverage)"
    row analysers "clang --analyze, cppcheck, clang-tidy" "$(of analysers analysers)"
} > "$logs/table.md"
cat "$logs/table.md"
if grep -q '^<!-- reliability -->' README.md; then
    awk -v table="$logs/table.md" '/^<!-- \/reliability -->/ { inside = 0 } !inside { print }
        /^<!-- reliability -->/ { inside = 1; while ((getline line < table) > 0) print line }' README.md > "$logs/README.md" && cat "$logs/README.md" > README.md
fi
for step in $steps; do line=$(tally "$step") && echo "${line:-0 passed, 1 failed, 0 skipped}"; done | tr -dc '0-9 \n' |
    awk '{ p += $1; f += $2; s += $3 } END { print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped"; exit f > 0 }'
