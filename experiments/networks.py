"""The flags that name a trained network, of a run or of a file of weights, and the network."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from absl import flags

from cnnjax import paths
from cnnjax.errors import InputError
from experiments import faults, launch, registering

if TYPE_CHECKING:
    from cnnjax.evaluation.trained import Trained

WORKDIR = flags.DEFINE_string("workdir", None, "Directory of the run.")
CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "auto", ["auto", "last", "best"], "auto: as the run's evaluate.select says."
)
WEIGHTS = flags.DEFINE_string(
    "weights", None, "In place of --workdir: a file of weights, of our own, Keras or PyTorch."
)
NETWORK = flags.DEFINE_string(
    "network", "", "What --weights holds, where the file does not say: 'lenet5 act=relu pool=max'."
)
CLASSES = flags.DEFINE_string(
    "classes", "", "Names of the classes in order: 'cat,dog', or a text file with one a line."
)
PREPROCESSING = flags.DEFINE_string(
    "preprocessing", "", "What the network expects of images: 'torchvision', 'mean=0.5 std=0.5'."
)


def trained() -> Trained:
    """Returns the network that the flags name; says on standard error what was assumed."""
    if bool(WORKDIR.value) == bool(WEIGHTS.value):
        raise InputError(
            "--workdir=DIR is missing: the directory of a run; or --weights=FILE"
            if not WORKDIR.value
            else "give --workdir=DIR or --weights=FILE, not both"
        )
    if WORKDIR.value:
        place = launch.existing_workdir(WORKDIR.value)
    else:
        place = paths.expanded(WEIGHTS.value or "")
        if not place.exists():
            raise InputError(f"--weights={WEIGHTS.value} does not exist")
    faults.require()
    registering.read()
    from cnnjax.evaluation import opened

    found = opened.network(
        place,
        CHECKPOINT.value,
        asked=NETWORK.value,
        classes=opened.class_list(CLASSES.value),
        preprocessing=PREPROCESSING.value,
    )
    for line in found.assumed:
        print(f"{found.source}: assumed: {line}", file=sys.stderr)
    return found
