#!/bin/bash
# One run over 2 nodes with 4 GPUs each: sbatch docs/hosts/slurm.sh
# One task per GPU; the tasks find each other through SLURM's own variables.
#SBATCH --job-name=cnnjax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
# SIGTERM 90 s before the time is up: the run saves and ends with status 75.
#SBATCH --signal=TERM@90

source .venv/bin/activate
srun python -m experiments.train \
  --config="${CONFIG:-configs/cifar10.py}" --workdir="${WORKDIR:?a folder that every node sees}"
status=$?
# Stopped with everything saved: queue again, and the same command goes on.
if [ "$status" -eq 75 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$status"
