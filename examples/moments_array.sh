#!/bin/sh
#SBATCH --job-name=celcomen
#SBATCH --array=1-8
#SBATCH --cpus-per-task=2
# A slide as bands on the nodes of a cluster: each task of the array adds up the moments of one band, and when all have
# ended a last job fits. Nothing but the moments' files moves between them.
#     jobid=$(sbatch --parsable moments_array.sh counts.npz coords.npy genes.txt)
#     sbatch --dependency=afterok:$jobid --wrap "celcomen fit --moments band_*.npz --out model"
set -eu
counts=$1 coords=$2 genes=$3
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
celcomen moments --counts "$counts" --coords "$coords" --genes "$genes" \
    --band "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --out "band_$SLURM_ARRAY_TASK_ID.npz"
