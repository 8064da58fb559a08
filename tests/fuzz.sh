#!/bin/sh
# Builds tests/fuzz.c and runs each target for so many seconds.     sh tests/fuzz.sh BUILD SECONDS [TARGETS]
# What it found stays in BUILD/fuzz/<target>: a later run goes on from there; ledger.txt there tells how many seconds of a
# processor each target has had on which state of celcomen.h. The last line is the tally.
set -u
B=$1 seconds=$2
targets=${3:-$(sed -n '/^} target\[\] = /,/};/p' tests/fuzz.c | grep -o '{"[a-z]*"' | tr -dc 'a-z\n')}
corpus=${CELCOMEN_SHARED:-../shared}/npy_corpus
mkdir -p "$B/fuzz"
flags="-g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined"
if ! command -v clang > /dev/null || ! echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n);
int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { (void)p; return n > 1e9; }' | clang $flags -x c - -o "$B/fuzz/probe" 2> /dev/null; then
    echo "skipped: clang or its fuzzer not installed"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
if [ ! "$B/fuzz/program" -nt celcomen.h ] || [ ! "$B/fuzz/program" -nt tests/fuzz.c ]; then
    clang $flags -I. tests/fuzz.c -o "$B/fuzz/program" -lm || exit 1
fi
# A short run goes the same way each time, so that what it says after a change is of the change; a long one explores.
seed=0
[ "$seconds" -gt 10 ] || seed=1
passed=0 failed=0
for t in $targets; do
    mkdir -p "$B/fuzz/$t"
    also=
    case $t in npy | model | table) [ ! -d "$corpus" ] || also="$corpus/valid $corpus/invalid" ;; esac
    # Whatever else the machine does meanwhile, the ledger has what this run used: times' second line, of the children.
    # shellcheck disable=SC2086
    (FUZZ_TARGET=$t OMP_NUM_THREADS=1 "$B/fuzz/program" -max_total_time="$seconds" -seed=$seed -len_control=0 -max_len=1024 -timeout=60 \
        -rss_limit_mb=2000 -print_final_stats=1 -artifact_prefix="$B/fuzz/found_${t}_" "$B/fuzz/$t" $also > "$B/fuzz/$t.log" 2>&1
    status=$?; times > "$B/fuzz/$t.times"; exit $status)
    status=$?
    used=$(awk -F '[ ms]+' 'NR == 2 { printf "%.1f", 60 * $1 + $2 + 60 * $3 + $4 }' "$B/fuzz/$t.times")
    echo "$(cksum < celcomen.h | tr ' ' '-') $t $used $(sed -n 's/^stat::number_of_executed_units: *//p' "$B/fuzz/$t.log" | tail -1) $status" >> "$B/fuzz/ledger.txt"
    if [ $status -eq 0 ]; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $t"; grep -E 'fuzz.c:[0-9]+: |ERROR|runtime error|Test unit' "$B/fuzz/$t.log" | head -5; fi
    echo "  $t: $(sed -n 's/^Done \([0-9]*\) runs.*/\1 runs/p' "$B/fuzz/$t.log")"
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
