"""The host's side of steps that are skipped because loss or gradient is not finite."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from cnnjax import data
from cnnjax.errors import Failure
from cnnjax.parallel import hosts
from cnnjax.train.experiment import Experiment
from cnnjax.train.log import Log
from cnnjax.train.state import TrainState
from cnnjax.workdir import files


class NotFinite(Failure):
    """Too many steps in a row had a loss or gradient that is not finite."""


class Watch:
    """Tells of skipped steps, stores their batches, and ends a run that has too many in a row."""

    def __init__(self, experiment: Experiment, workdir: Path, log: Log, state: TrainState):
        self.experiment, self.log = experiment, log
        self.folder = workdir / "nonfinite"
        self.patience = experiment.config["nonfinite"]["patience"]
        self.known = int(state.skipped["total"])

    def look(self, skipped: Mapping[str, jax.Array]) -> None:
        """Handles what was skipped since the last look; raises NotFinite after too many in a row.

        To be called before a state is saved: one that stands still is not worth it.
        """
        found = jax.device_get(skipped)
        new, self.known = int(found["total"]) - self.known, int(found["total"])
        if not new:
            return
        recent = [int(step) for step in found["recent"] if step >= 0]
        for step in recent[-new:]:
            self.store(step)
        names = ", ".join(str(step + 1) for step in recent[-new:])
        more = f" and {new - len(recent)} before" if new > len(recent) else ""
        self.log.line(
            f"Loss or gradient was not finite at step {names}{more}: discarded; the batches are in "
            f"{self.folder}"
        )
        if found["row"] >= self.patience:
            raise NotFinite(
                f"the loss or gradient of {self.patience} steps in a row, up to step "
                f"{recent[-1] + 1}, was not finite; their batches are in {self.folder}. A smaller "
                "optimizer.learning_rate, optimizer.clip_norm or a warm-up may help; "
                "nonfinite.then=retreat tries the first by itself"
            )

    def store(self, step: int) -> None:
        """Writes the batch of a step, counted from 0; `data.batch` gives the same again."""
        config, train = self.experiment.config, self.experiment.dataset.train
        if not hosts.first():
            return
        batch = data.batch(train, config["seed"], step, config["batch_size"])
        self.folder.mkdir(exist_ok=True)
        file = self.folder / f"step_{step + 1}.npz"
        np.savez(file, **batch)  # pyright: ignore[reportArgumentType]


def retreats(experiment: Experiment, workdir: Path) -> int:
    """Returns how many retreats the config still allows."""
    section = experiment.config["nonfinite"]
    if section["then"] != "retreat":
        return 0
    return section["retreats"] - len(files.read_retreats(workdir))


def slowed(experiment: Experiment, workdir: Path, step: int) -> Experiment:
    """Returns the experiment with the learning rate that retreats to `step` or before left.

    So a resumed run has the rate that the uninterrupted one would have.
    """
    count = sum(to <= step for to in files.read_retreats(workdir))
    rate = experiment.hyper["learning_rate"] * experiment.config["nonfinite"]["factor"] ** count
    return dataclasses.replace(experiment, hyper=experiment.hyper | {"learning_rate": rate})
