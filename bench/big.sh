#!/bin/sh
# Large slides from files to forces, error bars and shuffled control: seconds, processor time and peak memory of the tool
# on slides of bench/big.c. sh bench/big.sh BUILD [CELLS] [FOLDER]; CELLS: of the first two, 1,000,000; the third has ten
# times as many. It needs 7 GB of disk in FOLDER, and ten minutes.
set -eu
build=$(cd "$1" && pwd)
cells=${2:-1000000}
folder=$(mktemp -d "${3:-${TMPDIR:-/tmp}}/celcomen_big.XXXXXX")
trap 'rm -rf "$folder"' EXIT
[ -x /usr/bin/time ] || { echo "skipped: /usr/bin/time not installed"; exit 0; }
export OMP_NUM_THREADS=2
cd "$folder"
run() { # NAME COUNTS COORDS OPTIONS...
    name=$1 counts=$2 coords=$3
    shift 3
    /usr/bin/time -f '%e %U %S %M' -o spent "$build/celcomen" fit --quiet --counts "$counts" --coords "$coords" --out out "$@" > said
    awk -v name="$name" -v calls="$(sed -n 's/^inter: \(.*\) with q .*(\([0-9]*\) with.*/; \1 called, \2 shuffled/p' said)" \
        '{ printf "%-42s %7.1f s, processor %7.1f + %.1f s, peak %6.2f GB%s\n", name, $1, $2, $3, $4 / 1048576, calls }' spent
}
"$build/big" a "$cells" 300 all
run "$cells x 300, CSR" a.npz a.xy.npy
/usr/bin/python3 -c 'import sys, scipy.sparse as s; s.save_npz("z.npz", s.load_npz("a.npz"))' 2> /dev/null &&
    run "$cells x 300, CSR, compressed" z.npz a.xy.npy || echo "skipped: SciPy not installed"
run "$cells x 300, mapped" a.npy a.xy.npy
run "$cells x 300, mapped, 16 bits" a.u2.npy a.xy.npy
rm -f ./*.np[yz]
"$build/big" a "$cells" 100 npy
run "$cells x 100, mapped" a.npy a.xy.npy
run "$cells x 100, mapped, without errors" a.npy a.xy.npy --no-errors
rm -f ./*.np[yz]
"$build/big" a "${cells}0" 100 npy
run "${cells}0 x 100, mapped" a.npy a.xy.npy
run "${cells}0 x 100, mapped, without errors" a.npy a.xy.npy --no-errors
