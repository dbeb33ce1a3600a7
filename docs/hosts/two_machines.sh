#!/bin/bash
# One run over two plain machines that see one folder (NFS, ...). On the first machine:
#   docs/hosts/two_machines.sh 0 FIRST_MACHINE:4567 WORKDIR
# and on the second, within five minutes:
#   docs/hosts/two_machines.sh 1 FIRST_MACHINE:4567 WORKDIR
set -eu
source .venv/bin/activate
exec python -m experiments.train --config="${CONFIG:-configs/cifar10.py}" --workdir="$3" \
  --coordinator="$2" --num_processes=2 --process_id="$1"
