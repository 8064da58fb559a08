# What every script of tests of the tool begins with; sourced, not run: . "$(dirname "$0")/harness.sh". Takes $1, the tool,
# goes to a folder of its own that is removed at the end, and counts; done_here prints the tally.
tool=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
root=$(cd "$(dirname "$0")/.." && pwd)
shared=${CELCOMEN_SHARED:-$root/../shared}
[ -d "$shared" ] && shared=$(cd "$shared" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
passed=0 failed=0 skipped=0
skip() { echo "  skipped: $*"; skipped=$((skipped + 1)); }
ok() { # NAME COMMAND...: exits with 0
    name=$1
    shift
    "$@" > log 2>&1
    got=$?
    if [ $got -eq 0 ]; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $name (exit $got): $*"; tail -20 log; fi
}
says() { # NAME WORDS COMMAND...: exits with 0 and says WORDS
    name=$1 words=$2
    shift 2
    if "$@" > log 2>&1 && grep -q -- "$words" log; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $name: '$words' is not said"; tail -5 log; fi
}
bad() { # NAME STATUS WORDS COMMAND...: exits with STATUS, says WORDS in one line, writes nothing
    name=$1 want=$2 words=$3
    shift 3
    rm -rf never
    "$@" > log 2>&1
    got=$?
    if [ $got -eq "$want" ] && grep -q -- "$words" log && [ "$(grep -c '^celcomen: ' log)" -eq 1 ] && [ ! -e never ]; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $name: exit $got, wanted $want and '$words'"; tail -5 log; [ -e never ] && echo "  something was written"; fi
}
holds() { # NAME FILE WORDS
    if grep -q -- "$3" "$2"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1: '$3' not in $2"; fi
}
same() { if cmp -s "$2" "$3"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1: $2 and $3 differ"; fi; }
done_here() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed -eq 0 ]
}
