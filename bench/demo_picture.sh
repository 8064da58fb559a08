#!/bin/sh
# Two pictures of the main job for the README: forces planted and fitted, and a knock-out step by step (make pictures).
# Usage: demo_picture.sh build/celcomen FOLDER
set -e
tool=$1 to=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$tool" plant --n-genes 10 --side 50 --seed 1 --out "$dir/truth" --quiet
rows="--expression $dir/tissue/expression.npy --coords $dir/truth/coords.npy"
"$tool" simulate --intra "$dir/truth/intra.npy" --inter "$dir/truth/inter.npy" --coords "$dir/truth/coords.npy" --seed 1 --out "$dir/tissue" --quiet
"$tool" fit $rows --out "$dir/model" --quiet > /dev/null
"$tool" draw planted --from "$dir/model" --intra "$dir/truth/intra.npy" --inter "$dir/truth/inter.npy" --out "$to/demo.svg" --quiet
"$tool" perturb --model "$dir/model" $rows --cell 1225 --gene g0 --repeats 64 --out "$dir/knockout" --quiet > /dev/null
"$tool" draw hops --from "$dir/knockout" --out "$to/demo_knockout.svg" --quiet
echo "$to/demo.svg $to/demo_knockout.svg"
