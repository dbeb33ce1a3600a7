#!/bin/bash
# A sweep with a worker per GPU: SPACE='...' WORKDIR=... sbatch docs/hosts/slurm_array.sh
# Tasks need nothing of each other; more of them may be queued at any time.
#SBATCH --job-name=sweep
#SBATCH --array=0-15
#SBATCH --ntasks=1
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
# SIGTERM 90 s before the time is up: the trial is saved, and another task goes on with it.
#SBATCH --signal=B:TERM@90

source .venv/bin/activate
# exec: the signal is for Python, not for this shell.
exec python -m experiments.sweep \
  --config="${CONFIG:-configs/cifar10.py}" --workdir="${WORKDIR:?a folder that every node sees}" \
  --space="${SPACE:?what to vary}" --trials="${TRIALS:-100}" --workers="${WORKERS:-1}" \
  --storage="${STORAGE:-}"
