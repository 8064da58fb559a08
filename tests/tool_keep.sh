#!/bin/sh
# fit --checkpoint: killed at random moments and started again, a fit ends with the bytes of one that was left alone.
set -u
. "$(dirname "$0")/harness.sh"

slide() { # FOLDER CELLS GENES: counts on a jittered grid, library sizes and a gene in three that vary together
    mkdir "$1"
    awk -v cells="$2" -v genes="$3" -v to="$1" 'function poisson(m,   k, p, u) { u = rand(); p = exp(-m); for (k = 0; u > p && k < 400; k++) { u -= p; p *= m / (k + 1) } return k }
    BEGIN {
        srand(5)
        side = int(sqrt(cells))
        for (i = 0; i < cells; i++) {
            a = exp(rand() - .5); b = exp(.6 * (rand() - .5)); line = "c" i; head = "cell"
            for (k = 0; k < genes; k++) { line = line "," poisson(a * (2 + k % 5) * (k % 3 ? 1 : b)); head = head ",g" k }
            if (!i) { print head > (to "/counts.csv"); print "cell,x,y" > (to "/coords.csv") }
            print line > (to "/counts.csv")
            print "c" i "," i % side + rand() * .3 "," int(i / side) + rand() * .3 > (to "/coords.csv")
            print i < cells / 2 ? "sick" : "well" > (to "/who.csv")
        }
    }'
}
now() { date +%s.%N 2> /dev/null | grep -E '^[0-9.]+$' || date +%s; }

# kills SLIDE TIMES SIGNAL OPTIONS...: as often, a fit that is stopped at a random moment and then goes on to its end.
kills() {
    what=$1 times=$2 signal=$3
    shift 3
    files="pairs.csv model.npz"
    case "$*" in *conditions*) files="$files shifts.csv targets.csv" ;; esac
    slide="--counts $what/counts.csv --coords $what/coords.csv"
    began=$(now)
    ok "$what $*: left alone" "$tool" fit $slide --quiet --out plain "$@"
    whole=$(awk -v a="$began" -v b="$(now)" 'BEGIN { print b - a }')
    went=0 k=0
    while [ $k -lt "$times" ]; do
        k=$((k + 1))
        rm -rf broken checkpoint
        "$tool" fit $slide --out broken --checkpoint checkpoint "$@" > first 2>&1 &
        pid=$!
        sleep "$(awk -v k="$k" -v t="$whole" -v n="$times" 'BEGIN { srand(k); rand(); printf "%.3f", t * (k - rand()) / n }')"
        kill "-$signal" $pid 2> /dev/null
        wait $pid 2> /dev/null
        status=$?
        if [ $status -ne 0 ]; then # it may have been quicker
            [ "$signal" != INT ] || [ $status -ne 130 ] || [ ! -f checkpoint ] || says "$what: how to go on" "the same command goes on: celcomen fit" cat first
            ok "$what $*: nothing half done is in place" test ! -e broken/pairs.csv
            "$tool" fit $slide --out broken --checkpoint checkpoint "$@" > log 2>&1
            got=$?
            ! grep -q '^checkpoint: .* finished part' log || went=$((went + 1))
            [ $got -eq 0 ] || { echo "FAILED: $what $*: going on, exit $got"; tail -5 log; failed=$((failed + 1)); }
        fi
        for f in $files; do same "$what $*, $signal $k" plain/$f broken/$f; done
        ok "$what $*: the checkpoint is gone" test ! -e checkpoint
    done
    ok "$what $*: some of $times went on from a checkpoint ($went)" test $went -gt 0
}

slide large 3000 120
kills large 20 KILL --k 6
kills large 4 INT --k 6
slide small 500 8
# A thread: on so few cells those of a busy machine wait for each other.
export OMP_NUM_THREADS=1
kills small 5 KILL --method likelihood --steps 60
kills small 3 INT --method likelihood --steps 60
kills small 5 KILL --method counts
kills small 3 KILL --conditions small/who.csv --control well

# A checkpoint of something else is refused, with the reason, and left alone.
many="--counts small/counts.csv --coords small/coords.csv --checkpoint kept --method likelihood"
begun() { # OPTIONS...: a fit that was killed when its checkpoint, `kept`, had something
    try=0
    rm -f kept
    while [ $try -lt 20 ] && [ ! -s kept ]; do # until one was stopped in time
        try=$((try + 1))
        "$tool" fit "$@" --out never > first 2>&1 &
        pid=$!
        sleep 0.$((try % 9 + 1))
        kill -9 $pid 2> /dev/null
        wait $pid 2> /dev/null
        rm -rf never
    done
    [ -s kept ]
}
if begun $many --steps 200 --seed 1; then
    cp kept as_it_was
    bad "another seed" 1 "other input or other options" "$tool" fit $many --steps 200 --seed 2 --out never
    bad "another option" 1 "other input or other options" "$tool" fit $many --steps 200 --seed 1 --k 5 --out never
    sed '3s/,[0-9]*$/,77/' small/counts.csv > changed.csv
    bad "other counts" 1 "other input or other options" "$tool" fit $(echo "$many" | sed "s|small/counts|changed|") --steps 200 --seed 1 --out never
    [ "$(sed -n 's/.*"kernels": "\([a-z0-9]*\)".*/\1/p' plain/report.json)" = scalar ] ||
        bad "other kernels" 1 "other kernels" env CELCOMEN_LEVEL=scalar "$tool" fit $many --steps 200 --seed 1 --out never
    same "it is left alone" kept as_it_was
    says "it may have other names for its results" "finished part" "$tool" fit $many --steps 200 --seed 1 --out elsewhere
else skip "no fit was stopped in time"; fi
# Other counts of the same totals, under the same name: in an array and in a sparse matrix, which is read otherwise.
counts() { # FILE MOVED: small/counts.csv as FILE, with the counts of two genes of a cell exchanged where MOVED is 1
    /usr/bin/python3 -c 'import sys
import numpy as np
x = np.loadtxt("small/counts.csv", delimiter=",", skiprows=1, usecols=range(1, 9)).astype(np.int32)
if sys.argv[2] == "1":
    other = int(np.argmax(x[7] != x[7, 0]))
    x[7, [0, other]] = x[7, [other, 0]]
if sys.argv[1].endswith(".npy"):
    np.save(sys.argv[1], x)
else:
    row, col = np.nonzero(x)
    starts = np.concatenate([[0], np.cumsum((x != 0).sum(1))]).astype(np.int32)
    np.savez(sys.argv[1], indices=col.astype(np.int32), indptr=starts, format=np.array(b"csr"), shape=np.array(x.shape),
             data=x[row, col])' "$1" "$2"
}
sed 1d small/coords.csv | cut -d, -f2,3 > small/plain.csv
head -1 small/counts.csv | tr , '\n' | sed 1d > small/genes.txt
for file in counts.npy counts.npz; do
    if counts $file 0 2> /dev/null; then
        same="--counts $file --coords small/plain.csv --genes small/genes.txt --checkpoint kept --method likelihood --steps 200"
        begun $same || { skip "no fit was stopped in time"; continue; }
        cp kept as_it_was
        counts $file 1
        bad "$file: other counts of the same totals" 1 "other input or other options" "$tool" fit $same --out never
        same "$file: it is left alone" kept as_it_was
        counts $file 0
        says "$file: it goes on with its own" "finished part" "$tool" fit $same --out elsewhere
    else skip "NumPy not installed"; fi
done
echo "a list of mine" > mine
bad "a file that is no checkpoint" 1 "is no checkpoint" "$tool" fit --counts small/counts.csv --coords small/coords.csv --checkpoint mine --out never
holds "it is left alone" mine "a list of mine"
bad "a checkpoint nowhere" 1 "cannot be opened" "$tool" fit --counts small/counts.csv --coords small/coords.csv --checkpoint nowhere/ck --out never
bad "the published method has none" 2 "no effect" "$tool" fit --counts small/counts.csv --coords small/coords.csv --method paper --checkpoint ck --out never
done_here
