"""Measuring how long it takes to learn: from the start of a process to an accuracy on a test split.

All take the same plain recipe: Adam at 1e-3, batches of 128, shuffled epochs, and an evaluation of
the test split after each. Beside it this project is timed as its users run it: `experiments.train`
with `configs/mnist.py:lenet5,quick`, whose only look at the test split is its last line.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks import contestants
from experiments.benchmarks.child import ROOT, Child, Failed
from experiments.benchmarks.rounds import Settings
from experiments.benchmarks.works import ACCURACY, Work

# Of our own run: what its users type, less the data and the seed.
RECIPE = ("--config=configs/mnist.py:lenet5,quick",)
# Under this name its measurements are kept, beside those of the contestants.
BY_RECIPE = f"{contestants.OURS} by its own recipe"
LINE = "Test accuracy: "


def measure(
    work: Work,
    names: Sequence[str],
    folder: Path,
    data_dir: str,
    settings: Settings,
    advance: Callable[[], object],
) -> dict[str, dict[str, Any]]:
    """Returns lists of `reached`, `epochs` and `accuracy`, a value per seed, by contestant.

    `reached` is in seconds, None where the accuracy was not reached. Or under "failed" why there is
    nothing.
    """
    runs: dict[str, Callable[[int], dict[str, Any]]] = {
        name: lambda seed, name=name: learn(name, work, folder, settings.precision, seed)
        for name in names
    }
    if contestants.OURS in names:
        runs[BY_RECIPE] = lambda seed: by_recipe(data_dir, settings.precision, seed)
    found: dict[str, dict[str, Any]] = {name: {} for name in runs}
    for seed in range(settings.repeats):
        for name, run in runs.items():
            if "failed" not in found[name]:
                try:
                    for key, value in run(seed).items():
                        found[name].setdefault(key, []).append(value)
                except Failed as error:
                    found[name] = {"failed": str(error)}
            advance()
    return found


def learn(name: str, work: Work, folder: Path, precision: str, seed: int) -> dict[str, Any]:
    """Trains until the accuracy is reached, or for all epochs of the work."""
    with tempfile.TemporaryDirectory() as programs:
        begin = time.perf_counter()
        child = Child(name, Path(programs))
        try:
            described = {"work": dataclasses.asdict(work), "data": str(folder), "seed": seed}
            child.ask("prepare", precision=precision, **described)
            accuracy = 0.0
            for epoch in range(1, work.epochs + 1):
                accuracy = child.ask("epoch")["accuracy"]
                if accuracy >= ACCURACY:
                    seconds = time.perf_counter() - begin
                    return {"reached": seconds, "epochs": epoch, "accuracy": accuracy}
            return {"reached": None, "epochs": work.epochs, "accuracy": accuracy}
        finally:
            child.close()


def by_recipe(data_dir: str, precision: str, seed: int) -> dict[str, Any]:
    """Runs the project's own command in a new workdir, with nothing compiled before."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        command = (sys.executable, "-m", "experiments.train", *RECIPE, f"--workdir={folder}/run",
                   f"--config.data.data_dir={data_dir}", f"--config.seed={seed}",
                   f"--config.model.dtype={precision}")  # fmt: skip
        environment = contestants.environment(contestants.OURS, folder / "programs")
        errors, begin, seconds, accuracy = folder / "errors", time.perf_counter(), 0.0, None
        with (
            errors.open("w") as file,
            subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=file, text=True
            ) as process,
        ):
            for line in process.stdout or ():
                if line.startswith(LINE):
                    seconds = time.perf_counter() - begin
                    accuracy = float(line.removeprefix(LINE))
        if process.returncode or accuracy is None:
            words = errors.read_text().strip().splitlines() or [f"status {process.returncode}"]
            raise Failed(f"experiments.train: {words[-1][:200]}")
        reached = seconds if accuracy >= ACCURACY else None
        return {"reached": reached, "epochs": epochs(folder / "run"), "accuracy": accuracy}


def epochs(workdir: Path) -> float:
    from cnnjax.workdir import files

    return files.read_json(workdir / files.CONFIG)["epochs"]
