"""Early stopping: a run ends where its validations have not got better for long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cnnjax import tasks
from cnnjax.errors import InputError
from cnnjax.parallel import hosts
from cnnjax.workdir import files


def check(config: Mapping[str, Any]) -> None:
    """Refuses patience with what it has no meaning for."""
    section = config["evaluate"]
    if not section["patience"]:
        return
    if not config["data"]["validation"]:
        raise InputError("evaluate.patience needs a validation split: set data.validation")
    if not section["every_epochs"]:
        raise InputError("evaluate.patience counts validations: set evaluate.every_epochs")
    if config["unfreeze"]["after_epochs"]:
        raise InputError(
            "evaluate.patience ends a run, and unfreeze.after_epochs goes on: give one"
        )


def exhausted(scores: Sequence[float], patience: int) -> bool:
    """Returns whether the last `patience` scores, at least, are no better than one before.

    More is better. A patience of 0 never ends.
    """
    if not patience or not scores:
        return False
    return len(scores) - 1 - scores.index(max(scores)) >= patience


def over(config: Mapping[str, Any], task: tasks.Task, workdir: Path) -> bool:
    """Returns whether the run in `workdir` has validated in vain for long enough.

    It depends on what was reported alone, so that a run that was killed ends where it would have.
    """
    patience = config["evaluate"]["patience"]
    if not patience:
        return False
    return hosts.from_first(partial(judged, task, workdir, patience))


def judged(task: tasks.Task, workdir: Path, patience: int) -> bool:
    return exhausted([tasks.score(task, r) for r in files.validations(workdir)], patience)
