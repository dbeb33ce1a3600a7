"""The flags that say what a file of weights holds, and the network in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from cnnjax import paths
from cnnjax.errors import InputError
from experiments import faults, registering

if TYPE_CHECKING:
    from cnnjax.evaluation.trained import Trained

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


def place() -> Path:
    """Returns the file that --weights names."""
    path = paths.expanded(WEIGHTS.value or "")
    if not path.exists():
        raise InputError(f"--weights={WEIGHTS.value} does not exist")
    return path


def opened(place: Path, checkpoint: str = "auto") -> Trained:
    """Returns the network in a workdir or a file; says on standard error what was assumed."""
    faults.require()
    registering.read()
    from cnnjax.evaluation import opened

    found = opened.network(
        place,
        checkpoint,
        asked=NETWORK.value,
        classes=opened.class_list(CLASSES.value),
        preprocessing=PREPROCESSING.value,
    )
    for line in found.assumed:
        print(f"{found.source}: assumed: {line}", file=sys.stderr)
    return found
