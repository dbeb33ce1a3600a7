"""The flags that name a trained network, of a run or of a file of weights, and the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import flags

from cnnjax.errors import InputError
from experiments import launch, weights

if TYPE_CHECKING:
    from cnnjax.evaluation.trained import Trained

WORKDIR = flags.DEFINE_string("workdir", None, "Directory of the run.")
CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "auto", ["auto", "last", "best"], "auto: as the run's evaluate.select says."
)


def trained() -> Trained:
    """Returns the network that the flags name; says on standard error what was assumed."""
    if bool(WORKDIR.value) == bool(weights.WEIGHTS.value):
        raise InputError(
            "--workdir=DIR is missing: the directory of a run; or --weights=FILE"
            if not WORKDIR.value
            else "give --workdir=DIR or --weights=FILE, not both"
        )
    if WORKDIR.value:
        return weights.opened(launch.existing_workdir(WORKDIR.value), CHECKPOINT.value)
    return weights.opened(weights.place())
