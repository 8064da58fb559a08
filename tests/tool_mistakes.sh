#!/bin/sh
# The table of mistakes: each ends with its exit status and one message that names the file or option, the place and the
# cure, and nothing is written.
set -u
. "$(dirname "$0")/harness.sh"
table=$root/tests/mistakes.txt

# A slide of 200 cells and 8 genes in which all is right.
awk 'BEGIN {
    srand(5)
    printf "cell" > "counts.csv"; for (g = 0; g < 8; g++) printf ",G%d", g > "counts.csv"; print "" > "counts.csv"
    print "cell,x,y" > "coords.csv"
    for (i = 0; i < 200; i++) {
        name = sprintf("c%03d", i); m = 2 + 4 * rand()
        printf "%s", name > "counts.csv"
        for (g = 0; g < 8; g++) { y = 0; for (k = 0; k < 10; k++) y += rand() < m / 10; printf ",%d", y > "counts.csv" }
        print "" > "counts.csv"
        printf "%s,%d,%d\n", name, i % 20, int(i / 20) > "coords.csv"
        print (i % 3 ? "Tcell" : "Bcell") > "types.txt"
    }
    for (g = 0; g < 8; g++) print "G" g > "genes.txt"
}'
# What can go wrong with names.
{ echo gene; cat genes.txt; } > genes_header.txt
head -7 genes.txt > genes_few.txt
sed '4s/.*//' genes.txt > genes_hole.txt
sed '4s/.*/G2/' genes.txt > genes_twice.txt
awk 'BEGIN { print "id,symbol" } { print "E" NR "," $1 }' genes.txt > genes.csv
printf '\377\376G\0000\000\n\000' > genes_wide.txt
sort -r genes.txt > genes_turned.txt
awk -F, '{ for (j = 1; j <= NF; j++) line[j] = line[j] (NR > 1 ? "," : "") $j } END { for (j = 1; j <= 9; j++) print line[j] }' counts.csv > turned.csv
sed '1s/G3/G1/' counts.csv > header_twice.csv
sed '6s/^c004/c001/' coords.csv > coords_twice.csv
sed '7s/^c005/c905/' coords.csv > coords_lacks.csv
sed 's/^c\([0-9]\)/x\1/' coords.csv > coords_other.csv
awk -F, 'NR == 1 { print "cell,type,pos_x,pos_y" } NR > 1 { print $1 ",T" NR % 2 "," $2 "," $3 }' coords.csv > cells.csv
sed 's/^c\([0-9]\)/x\1/' cells.csv > cells_other.csv
{ echo type; cat types.txt; } > types_header.txt
tail -199 types.txt > types_few.txt
sed '3s/.*//' types.txt > types_hole.txt
sed 's/$/	x/' types.txt > types_tab.txt
printf 'a\na\nb\n' > slides_few.txt
sed '1s/.*/Tcel/' types.txt > types_new.txt
sed '1s/G7/g7/' counts.csv > other.csv
printf '3,G1,0\n4,G33,0\n' > do_gene.txt
printf 'cells of type Tcells, G1, 0\n' > do_type.txt
printf 'A\tfoo\tbar\n' > sets_none.txt
# Numbers.
sed '4s/,[0-9]*/,NA/3' counts.csv > na.csv
sed '1s/,/;/g; 2,$s/,/;/g; 3s/;[0-9]*/;1,5/2' counts.csv > comma.csv
sed '3s/,[0-9]*/,many/5' counts.csv > word.csv
sed '4s/,[0-9]*$//' counts.csv > short.csv
sed '2s/^c000/"c000/' counts.csv > quote.csv
sed '3s/.*//' counts.csv > hole.csv
sed '4s/,[0-9]*/,-1/2' counts.csv > negative.csv
sed '2,$s/,[0-9]*/,0/g' counts.csv > zeros.csv
sed '2s/,.*/,1000,1000/' coords.csv > far.csv
sed '2,$s/,.*/,1,1/' coords.csv > point.csv
# Other kinds of files, by their first bytes.
printf '\211HDF\r\n\032\n' > a.h5ad
printf 'X\n\000\000\000\003' > a.rds
printf 'RDX3\nX\n' > a.RData
printf 'PAR1\025\000' > a.parquet
printf '\211PNG\r\n\032\n\000\000\000\rIHDR' > picture.png
: > empty.csv
mkdir bare a.zarr && echo '{}' > a.zarr/.zgroup
# Compressed ones.
gzip -c counts.csv > whole.csv.gz
head -c 900 whole.csv.gz > cut.csv.gz
{ head -c 700 whole.csv.gz; printf 'x\000y'; tail -c +704 whole.csv.gz; } > flipped.csv.gz
gzip -c whole.csv.gz > twice.csv.gz
{ cat whole.csv.gz; echo more; } > tail.csv.gz
printf 'BZh91AY&SY' > counts.csv.bz2
printf '\3757zXZ\000\000' > counts.csv.xz
mtx() { awk -F, 'NR > 1 { for (j = 2; j <= NF; j++) if ($j > 0) print j - 1, NR - 1, $j > "entries" } END { print 8, NR - 1 }' counts.csv > size
    { echo '%%MatrixMarket matrix coordinate integer general'; echo "$(cat size) $(grep -c . entries)"; cat entries; } > "$1"; }
mtx counts.mtx
tail -n +2 coords.csv | cut -d, -f1 > barcodes.tsv
for d in no_barcodes no_features mixed_10x; do mkdir $d; gzip -c counts.mtx > $d/matrix.mtx.gz; done
awk '{ print "E" NR "\t" $1 "\tGene Expression" }' genes.txt | gzip > no_barcodes/features.tsv.gz
gzip -c barcodes.tsv > no_features/barcodes.tsv.gz
cp no_barcodes/features.tsv.gz no_features/barcodes.tsv.gz mixed_10x
mkdir twice_10x && cp no_barcodes/matrix.mtx.gz no_features/barcodes.tsv.gz twice_10x
awk '{ print "E" NR "\t" $1 "\tGene Expression" }' genes_twice.txt | gzip > twice_10x/features.tsv.gz
head -9 barcodes.tsv | gzip > mixed_10x/barcodes.tsv.gz
sed '5s/.*/9999 1 2/' counts.mtx | gzip > wrong.mtx.gz
python=
for p in python3 /usr/bin/python3; do [ -z "$python" ] && "$p" -c 'import numpy' 2> /dev/null && python=$p; done
[ -z "$python" ] || "$python" -c '
import numpy as np, zipfile
rows = [line.split(",")[1:] for line in open("counts.csv")][1:]
x = np.array(rows, dtype=int)
xy = np.array([line.split(",")[1:] for line in open("coords.csv")][1:], dtype=float)
np.save("counts.npy", x); np.save("turned.npy", x.T); np.save("coords.npy", xy); np.save("coords_flat.npy", xy.T)
np.save("coords_few.npy", xy[1:]); np.save("types.npy", np.arange(200) % 2); np.save("few.npy", np.ones(3)); np.save("ones.npy", np.ones(200))
np.savez_compressed("whole.npz", x=x); b = bytearray(open("whole.npz", "rb").read())
open("cut.npz", "wb").write(b[:len(b) // 2]); b[200] ^= 4; open("flipped.npz", "wb").write(b)
np.savez("object.npz", x=np.array([{}, 1], dtype=object)); np.savez_compressed("vector.npz", x=np.arange(5))
zipfile.ZipFile("book.xlsx", "w").writestr("xl/workbook.xml", "<workbook/>")'

S="--counts counts.csv --coords coords.csv"
N="--counts counts_bare.csv --coords coords.csv"
sed '1d; s/^[^,]*,//' counts.csv > counts_bare.csv # no names at all
if ! "$tool" fit $S --no-errors --ridge 0.1 --quiet --out model > log 2>&1 || ! "$tool" fit $S --types types.txt --no-errors --ridge 0.1 --quiet --out typed > log 2>&1; then
    echo "FAILED: the right slide"; cat log; failed=1
fi
trim() { echo "$1" | sed 's/^ *//; s/ *$//'; }
while IFS=';' read -r group status file place cure args <&3; do
    group=$(trim "$group")
    case $group in '#'* | '') continue ;; esac
    status=$(trim "$status") args=$(trim "$args")
    eval "set -- $args"
    missing=
    for word; do case $word in *.npy | *.npz | *.xlsx) [ -e "$word" ] || missing=1 ;; esac; done
    if [ -n "$missing" ]; then skipped=$((skipped + 1)); continue; fi
    case $group:$1 in bare*) ;; *:fit | *:perturb) set -- "$@" --out never ;; esac
    rm -rf never
    "$tool" "$@" > log 2>&1 < /dev/null
    got=$? problem=
    [ $got -eq "$status" ] || problem="exit $got, wanted $status"
    [ "$(grep -c '^celcomen: ' log)" -eq 1 ] || problem="$problem; not one message"
    [ ! -e never ] || problem="$problem; something was written"
    for words in "$file" "$place" "$cure"; do
        words=$(trim "$words")
        [ "$words" = - ] || grep -q -- "$words" log || problem="$problem; lacks '$words'"
    done
    [ -z "${TELL-}" ] || grep "^celcomen: " log
    if [ -z "$problem" ]; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $args: ${problem#; }"; grep '^celcomen: \|^ \|^there' log | head -3; fi
done 3< "$table"
count() { grep -c "^$1 ;" "$table"; }
echo "  $(grep -c '^[a-z]* ; [12] ;' "$table") mistakes: names and orientation $(count names), compressed files $(count packed), other kinds $(count kind), numbers $(count numbers), the command line $(($(count usage) + $(count bare)))"
done_here
