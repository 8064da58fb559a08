#!/bin/sh
# make recovery: builds and runs the experiment, writes bench/recovery.csv, and draws bench/recovery.svg from it.
# Usage: recovery.sh BUILD [SEEDS]
set -e
B=$1
: "${CC:=cc}"
omp=""
echo 'int main(void){return 0;}' | $CC -fopenmp -x c - -o "$B/omp" 2> /dev/null && omp=-fopenmp
$CC -std=gnu99 -O2 $omp -I. bench/recovery.c -o "$B/recovery" -lm
"$B/recovery" --data "${CELCOMEN_SHARED:-../shared}/data" --seeds "${2:-20}" > "$B/recovery.csv"
cp "$B/recovery.csv" bench/recovery.csv
"$B/pictures" bench
