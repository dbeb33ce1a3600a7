#!/bin/bash
# A sweep with four workers on each GPU: SPACE='...' WORKDIR=... sbatch docs/hosts/slurm_array_shared.sh
# For networks too small to keep a GPU busy; memory is taken as it is needed.
#SBATCH --job-name=sweep
#SBATCH --array=0-3
#SBATCH --ntasks=1
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@90

export WORKERS=4
exec bash docs/hosts/slurm_array.sh
