#!/bin/sh
# Timings beside peers: sh bench/run.sh BUILD [FILE] [quick] [single] [whole]
# Compiles bench/*.c into BUILD, runs each program and the peers that are installed, and prints (and writes to FILE)
#     figure,value,unit,peer,peer_value,ratio
# ratio above 1: we are faster. The last lines hold what is asked of the library, and whether this run met it.
# quick: small sizes, to see that it works. single: one thread throughout, all on its own processor time, for a
# machine that is busy with other things. whole: one step of the published generator with all its genes, which can take
# half an hour, instead of steps of fewer genes, scaled. FILE "" is none. CC and PYTHON choose the compiler and the
# interpreter.
set -e
build=${1:-build}
out=$2
quick= whole=
export THREADS=2 PYTHONDONTWRITEBYTECODE=1
for mode in "$3" "$4" "$5"; do
    case $mode in quick) quick=quick ;; single) THREADS=1 ;; whole) whole=whole ;; esac
done
[ "$THREADS" = 2 ] && t='2 threads' || { t='1 thread'; export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; }
cd "$(dirname "$0")/.."
mkdir -p "$build"
cc=${CC:-cc}
flags=-O2
define=-DTHREADS=$THREADS
folder=$(mktemp -d "${TMPDIR:-/tmp}/celcomen_bench.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
printf 'int main(void) { return 0; }\n' > "$folder/probe.c"
$cc -fopenmp "$folder/probe.c" -o "$folder/probe" 2> /dev/null && flags="$flags -fopenmp"
for p in kernels graph fit generate sample; do
    $cc $flags $define -I. -DBENCH_FLAGS="\"$flags\"" bench/$p.c -o "$build/bench_$p" -lm
done
$cc $flags $define -I. -DBENCH_FLAGS="\"$flags\"" -DCELCOMEN_DOUBLE bench/kernels.c -o "$build/bench_kernels_double" -lm
$cc -O2 $define bench/peer_openblas.c -o "$build/bench_peer_openblas" -ldl
python=
for p in $PYTHON python3 /usr/bin/python3; do
    [ -z "$python" ] && "$p" -c 'import numpy' 2> /dev/null && python=$p
done

table=$folder/table
say() { cat | tee -a "$table"; }
# join PEER: lines figure,value,unit (or figure|peer,value,unit) of a peer beside our own of the same figure
join() {
    awk -F, -v peer="$1" '
        NR == FNR { if ($1 !~ /^#/ && !($1 in value)) { value[$1] = $2; unit[$1] = $3 } next }
        /^skipped/ { print; next }
        { split($1, part, "|"); name = part[2] == "" ? peer : part[2]
          if (!(part[1] in value)) printf "%s,,%s,%s,%s,\n", part[1], $3, name, $2
          else printf "%s,%s,%s,%s,%s,%.4g\n", part[1], value[part[1]], $3, name, $2,
               $3 == "s" ? $2 / value[part[1]] : value[part[1]] / $2 }' "$table" - | say
}
peer() { # NAME SCRIPT [ARGUMENTS]
    if [ -n "$python" ]; then OPENBLAS_CORETYPE=$best "$python" "bench/$2" "$folder" $3 | join "$1"
    else echo "skipped: $1 not installed (no Python with NumPy)" | say
    fi
}

: > "$table"
{
    cpu=$( (sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo || :
        sysctl -n machdep.cpu.brand_string || :
        uname -m) 2> /dev/null | head -n 1)
    echo "# $cpu, $(getconf _NPROCESSORS_ONLN 2> /dev/null || echo unknown) processors, at most $t used"
    echo "# medians of 5; one thread by its own processor time, two by the wall clock"
    core=$("$build/bench_peer_openblas" core)
    best=
    for c in Haswell Zen SkylakeX Cooperlake SapphireRapids NEOVERSEN1; do
        # A core whose instructions the machine lacks dies of a signal, which the shell would report: hence the exec.
        line=$(exec 2> /dev/null; OPENBLAS_CORETYPE=$c "$build/bench_peer_openblas" core || exit 1) || continue
        best="$best$c,$line
"
    done
    best=$(printf '%s' "$best" | awk -F, '$3 > most { most = $3; line = $0 } END { print line }')
    case $core in
    skipped*) echo "$core" ;;
    *)
        echo "# $(echo "$core" | cut -d, -f3), core as installed: $(echo "$core" | cut -d, -f1)," \
            "best core: $(echo "$best" | cut -d, -f2)"
        echo "# the Python peers run with the best core forced"
        ;;
    esac
} | say
best=$(sed -n 's/.*, best core: //p' "$table")

echo "figure,value,unit,peer,peer_value,ratio" | say
"$build/bench_kernels" $quick | say
"$build/bench_kernels_double" $quick | say
"$build/bench_peer_openblas" $quick | join "OpenBLAS as installed"
[ -n "$best" ] && OPENBLAS_CORETYPE=$best "$build/bench_peer_openblas" $quick | join "OpenBLAS best core"
"$build/bench_graph" "$folder" $quick | say
peer SciPy peer_scipy.py
peer scikit-learn peer_sklearn.py
"$build/bench_fit" "$folder" $quick | say
peer NumPy peer_numpy.py
"$build/bench_generate" "$folder" $quick | say
peer PyTorch peer_torch.py "$quick $whole"
"$build/bench_sample" $quick | say

# What is asked: worst ratio (or value) of the lines whose figure and peer match, beside the bound.
echo "asked,bound,measured,met,," | say
bar() { # TEXT min|max ratio|value FIGURE PEER BOUND
    awk -F, -v text="$1" -v side="$2" -v column="$3" -v figure="$4" -v peer="$5" -v bound="$6" '
        $1 ~ figure && $4 ~ peer {
            v = column == "ratio" ? $6 : $2
            if (v == "") next
            if (!found++ || (side == "min" ? v + 0 < worst + 0 : v + 0 > worst + 0)) worst = v
        }
        END {
            if (!found) printf "%s,%s,,not measured,,\n", text, bound
            else printf "%s,%s,%s,%s,,\n", text, bound, worst,
                (side == "min" ? worst + 0 >= bound + 0 : worst + 0 <= bound + 0) ? "yes" : "NO"
        }' "$table" | say
}
large='n=(512|1024|2048)$'
small='n=(64|128)$'
# Where avx2 is the machine's own level, no line names it: the plain ones are those of avx2.
if grep -q '^# celcomen.h.* kernel level avx2,' "$table"; then avx2=; else avx2='avx2 '; fi
for real in float double; do
    less=0
    if [ $real = double ]; then less=0.05; fi
    at() { awk "BEGIN { print $1 - $less }"; }
    bar "$real gemm of the fma peak from 512" min ratio "^gemm $real 1 thread $large" "^fma" "$(at 0.85)"
    bar "$real gemm of the fma peak at 64 and 128" min ratio "^gemm $real 1 thread $small" "^fma" "$(at 0.70)"
    bar "$real gemm of OpenBLAS' best core from 512" min ratio "^gemm $real 1 thread $large" "best core" "$(at 0.95)"
    bar "$real gemm of the avx2 peak from 512" min ratio "^gemm $real 1 thread $avx2$large" "^fma" "$(at 0.90)"
    [ "$THREADS" = 1 ] ||
        bar "$real gemm 2 threads over 1 from 512" min ratio "^gemm $real 2 threads $large" "1 thread n" "$(at 1.8)"
done
bar "csr x dense of memory copy" min ratio "^csr x dense cells along the curve $t$" "^memory" 0.6
bar "csr x dense over SciPy" min ratio "^csr x dense cells along the curve $t" SciPy 3
bar "neighbours over scikit-learn" min ratio "^k nearest neighbours $t" scikit 4
bar "cce over the published algorithm" min ratio "^cce 200 epochs moments included" "as published" 1000
bar "cce over the moment form in PyTorch" min ratio "^cce 200 epochs from moments" "from moments" 20
bar "score fit seconds" max value "^score fit graph and moments included" "^$" 0.3
bar "score fit with error bars seconds" max value "^score fit with error bars" "^$" 3
bar "score fit over 50 epochs of the published algorithm" min ratio "^score fit graph" "50 epochs" 20
bar "sce step over the published algorithm" min ratio "^sce step" "as published" 5000
bar "sce step over vectorised PyTorch" min ratio "^sce step" vectorised 5
bar "sampler sweep of gemm 500 genes" min ratio "^sampler sweep [0-9]* cells x (500|60) genes $t$" "^gemm" 0.6
bar "moments of a mapped file of the floor" min ratio "^moments of a mapped file" floor 0.7
bar "growth exponent at most" max value "^growth exponent (nei|mom|sam)" "^$" 1.05
bar "growth exponent at least" min value "^growth exponent (nei|mom|sam)" "^$" 0.95
bar "same bits for 1 and 2 threads" min value "^same bits" "^$" 1
[ -z "$out" ] || cp "$table" "$out"
