#!/bin/bash
# One run on all hosts of a Cloud TPU pod slice, which find each other:
#   TPU=my-slice ZONE=us-central2-b WORKDIR=/mnt/shared/runs/resnet50 docs/hosts/tpu_pod.sh
# The project must lie in the home folder of every host, installed with jax's TPU extra
# (.venv/bin/pip install -e '.[tpu]'), and WORKDIR on storage that every host has mounted.
set -eu
exec gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all --command="
  cd cnnjax && source .venv/bin/activate &&
  python -m experiments.train --config='${CONFIG:-configs/cifar10.py}' --workdir='$WORKDIR'"
