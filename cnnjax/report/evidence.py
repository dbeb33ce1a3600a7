"""All that a report needs of one run: what lies in its workdir, and what its network does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax import config as configuration
from cnnjax import data, history, tasks
from cnnjax.data import Files
from cnnjax.errors import InputError
from cnnjax.evaluation import examples, trained
from cnnjax.evaluation.trained import Trained
from cnnjax.workdir import files


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """Examples that the network has not learnt from, and what it makes of them.

    Attributes:
      name: "test" or "validation"; of: how many examples the split has, of which these are some.
      places: of the examples in the split.
      losses: of each example; logits: (n, classes) of a classifier, else None.
    """

    name: str
    of: int
    places: np.ndarray
    split: data.Split
    losses: np.ndarray
    logits: np.ndarray | None

    @property
    def labels(self) -> np.ndarray:
        return self.split.targets["label"]


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """One run, or one file of weights.

    Attributes:
      workdir: or the file.
      config: of a file of weights, its task and its network's and data set's name alone.
      reports: the lines of metrics.jsonl; result: None of a run that has not ended.
      network, dataset: None where they cannot be read.
      judged: the split that figures are of: test of a complete run, else validation; held: all
        splits that are held out, this one first.
      troubles: sentences on what is missing, and why.
    """

    workdir: Path
    config: dict[str, Any]
    environment: dict[str, Any]
    stored: dict[str, Any]
    reports: list[dict[str, Any]]
    result: dict[str, Any] | None
    network: Trained | None
    dataset: data.Dataset | None
    held: tuple[Judged, ...]
    troubles: tuple[str, ...]

    @property
    def is_run(self) -> bool:
        return "epochs" in self.config

    @property
    def task(self) -> tasks.Task:
        return tasks.TASKS[self.config["task"]]

    @property
    def judged(self) -> Judged | None:
        return self.held[0] if self.held else None

    @property
    def classifies(self) -> bool:
        return self.task is tasks.TASKS["classification"]

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.stored["class_names"])


def gather(workdir: Path, data_dir: str | None = None, most: int = 10_000) -> Evidence:
    """Reads a workdir, and tries its network on at most `most` examples of each held-out split.

    Raises InputError for a folder that is no workdir. What else is missing is told in `troubles`.
    """
    config = history.completed(files.read_json(workdir / files.CONFIG))
    environment = files.read_json(workdir / files.ENVIRONMENT)
    stored = files.read_json(workdir / files.DATASET)
    finished = (workdir / files.RESULT).exists()
    result = files.read_result(workdir) if finished else None
    network, dataset, held, troubles = None, None, [], []
    try:
        network = trained.load(workdir)
    except InputError as error:
        troubles.append(f"There is no network to try: {error}.")
    try:
        dataset = trained.stored_data(with_files(config), data_dir)
        if network is not None:
            trained.check_data(network, dataset)
    except InputError as error:
        dataset = None
        troubles.append(f"The data cannot be read: {error}.")
    if network is not None and dataset is not None:
        names = ("test", "validation") if finished else ("validation",)
        held = [judge(network, name, getattr(dataset, name), most) for name in names]
        held = [one for one in held if len(one.split)]
        if not held:
            troubles.append(
                "The run is not complete and has no validation split: its test split is for the end"
            )
    reports = read_reports(workdir)
    return Evidence(
        workdir, config, environment, stored, reports, result, network, dataset, tuple(held),
        tuple(troubles),
    )  # fmt: skip


def of_weights(network: Trained, dataset: data.Dataset, most: int = 10_000) -> Evidence:
    """Returns what the network of a file of weights does with the test split of a data set."""
    (task,) = (name for name, task in tasks.TASKS.items() if task is network.task)
    config = {"task": task, "model": {"name": network.name}, "data": {"name": dataset.name}}
    splits = {name: len(getattr(dataset, name)) for name in ("train", "validation", "test")}
    stored = {"shape": network.shape, "class_names": network.class_names, "examples": splits}
    held = (judge(network, "test", dataset.test, most),)
    place = Path(network.source)
    return Evidence(place, config, {}, stored, [], None, network, dataset, held, network.assumed)


def with_files(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a config whose images, if they are a user's files, keep their names."""
    if config["data"]["name"] != "folder":
        return config
    return {**config, "data": {**config["data"], "stream": "yes"}}


def judge(network: Trained, name: str, split: data.Split, most: int) -> Judged:
    """Returns what a network makes of at most `most` examples, spread evenly over the split."""
    places = np.unique(np.linspace(0, max(len(split) - 1, 0), min(most, len(split))).astype(int))
    if not len(split):
        return Judged(name, 0, places, split, np.zeros(0, np.float32), None)
    part = split if len(places) == len(split) else split.chosen(places)
    classifies = network.task is tasks.TASKS["classification"]
    losses, logits = examples.losses(network, part, classifies, what=f"looking at {name} examples")
    return Judged(name, len(split), places, part, losses, logits)


def read_reports(workdir: Path) -> list[dict[str, Any]]:
    """Returns the reports of a run; a torn last line is left out."""
    path, found = workdir / files.METRICS, []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(files.read_report(line))
        except (ValueError, AttributeError):
            continue
    return found


def series(evidence: Evidence, split: str, name: str) -> tuple[list[float], list[float]]:
    """Returns epochs and values of what a split reported."""
    if not evidence.reports:
        return [], []
    per_epoch = evidence.stored["examples"]["train"] / evidence.config["batch_size"]
    pairs = [
        (report["step"] / per_epoch, report[name])
        for report in evidence.reports
        if report.get("split") == split and name in report
    ]
    return [x for x, _ in pairs], [y for _, y in pairs]


def source_files(split: data.Split) -> Sequence[Path] | None:
    """Returns the files of a split's images, where they have files."""
    return split.images.files if isinstance(split.images, Files) else None


def changes(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns (field, value, default) of what a config changes, or adds to the defaults."""
    usual = configuration.flatten(configuration.default().to_dict())
    mine = configuration.flatten(config)
    return [
        (name, json.dumps(value), json.dumps(usual[name]) if name in usual else "")
        for name, value in mine.items()
        if name not in usual or usual[name] != value
    ]
