#!/bin/sh
# examples/fit_mpi.c: two and four ranks give the forces of one process, and those of the tool. $1: the build folder.
set -u
set -- "$1/celcomen"
. "$(dirname "$0")/harness.sh"
if ! command -v mpicc > /dev/null || ! command -v mpirun > /dev/null; then
    skip "OpenMPI not installed"
    done_here
    exit
fi
ok "compiles" mpicc -O2 -fopenmp -Wall -Wextra -I"$root" "$root/examples/fit_mpi.c" -o fit_mpi -lm
run() { # RANKS OUT ARGUMENTS
    ranks=$1 out=$2
    shift 2
    OMP_NUM_THREADS=1 mpirun --allow-run-as-root --oversubscribe -n "$ranks" ./fit_mpi "$@" "$out/model.npz" > "$out/pairs.csv"
}
near() { # A B TOLERANCE: columns 4 to 6 (forces) and 7 to 9 (errors, tests), relative to the largest of each
    sort "$1" > a.sorted
    sort "$2" > b.sorted
    paste -d, a.sorted b.sorted | awk -F, -v t="$3" '
        $1 != "relation" { for (k = 4; k <= 9; k++) { d = $k - $(k + 10); d = d < 0 ? -d : d; s = $k < 0 ? -$k : $k
              if ($1 $2 $3 != $11 $12 $13) bad = 1
              if (s > top[k]) top[k] = s
              if (d > worst[k]) worst[k] = d } }
        END { for (k = 4; k <= 9; k++) { print "column " k ": " worst[k] " of " top[k]
                  if (!(worst[k] <= t * top[k] * (k > 6 ? 20 : 1))) bad = 1 }
              exit bad || !(top[4] > 0) }'
}

# Counts of a tissue drawn from forces that a fit of made-up counts gives: grids of 40 x 40 cells and 10 genes.
"$tool" plant --quiet --n-genes 10 --side 40 --out truth || exit 1
awk 'BEGIN {
    s = 7
    print "g0,g1,g2,g3,g4,g5,g6,g7,g8,g9"
    for (i = 0; i < 1600; i++) {
        line = ""
        for (k = 0; k < 10; k++) {
            s = (s * 16807) % 2147483647; u = s / 2147483647
            s = (s * 16807) % 2147483647; v = s / 2147483647
            z = sqrt(-2 * log(u)) * cos(6.2831853 * v)
            if (k == 0) first = z
            if (k < 3) z = 0.7 * first + 0.7 * z
            line = line (k ? "," : "") int(exp(1.5 + 0.6 * z + 0.4 * sin(i % 40 / 3 + k) * cos(int(i / 40) / 3)))
        }
        print line
    }
}' > counts.csv
"$tool" fit --quiet --counts counts.csv --coords truth/coords.npy --out law > /dev/null || exit 1
"$tool" simulate --quiet --model law --coords truth/coords.npy --sweeps 30 --out drawn || exit 1
for n in 1 2 4 whole; do mkdir -p "run$n"; done
for n in 1 2 4; do ok "$n ranks" run $n run$n drawn/counts.npy truth/coords.npy law/genes.txt 10; done
same "two are one, to the bit" run1/pairs.csv run2/pairs.csv
same "four are one, to the bit" run1/pairs.csv run4/pairs.csv
same "their models too" run1/model.npz run4/model.npz
ok "the tool" "$tool" fit --quiet --counts drawn/counts.npy --coords truth/coords.npy --genes law/genes.txt --out whole
ok "ranks are the tool" near whole/pairs.csv run4/pairs.csv 1e-5
ok "its model is one for the tool" "$tool" perturb --model run4 --counts drawn/counts.npy --coords truth/coords.npy --genes law/genes.txt --cell 820 --gene g1 --repeats 2 --out ko
bad_run() { ! run 2 run1 drawn/counts.npy law/inter.npy law/genes.txt 10; }
ok "counts of other cells" bad_run
done_here
