"""Studies: one question, a few points, several seeds, and an answer with its uncertainty.

Points share their seeds, and with them the split, the order of examples and, where shapes agree,
the initial weights; so they are compared pair by pair.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax import config as configuration
from cnnjax.errors import InputError
from cnnjax.sweep.points import applied, check_names
from cnnjax.sweep.statistics import interval
from cnnjax.workdir import files

SUPPORTED, NOT, MIXED, UNDECIDED = "supported", "not supported", "mixed", "undecided"


def test_accuracy(workdir: Path) -> float:
    """Returns the share of the test images that a finished run got right."""
    return files.read_json(workdir / files.RESULT)["test_accuracy"]


@dataclasses.dataclass(frozen=True)
class Study:
    """A claim of an article and the runs that put it to the test.

    Attributes:
      claim: in the article's words.
      source: of the claim.
      question: that the runs answer.
      base: returns the config that all points start from.
      points: name -> fields and values; the first is what the others are compared with.
      expects: name of a point -> 1 if the claim has it above the first, -1 below.
      seeds: runs of each point.
      measure: from the workdir of a finished run to the number that is compared.
      measured: what that number is, with its unit.
      remarks: what a reader must know of the design.
    """

    claim: str
    source: str
    question: str
    base: Callable[[], Any]
    points: Mapping[str, Mapping[str, Any]]
    expects: Mapping[str, int]
    seeds: int = 8
    measure: Callable[[Path], float] = test_accuracy
    measured: str = "test accuracy, %"
    scale: float = 100.0
    remarks: str = ""

    @property
    def first(self) -> str:
        return next(iter(self.points))


@dataclasses.dataclass(frozen=True)
class Difference:
    """A point minus the first, pair by pair.

    Attributes:
      half: half the width of the 95 % interval of the mean.
      effect: the mean over the standard deviation of the pairs (Cohen's d for pairs).
      p: of the paired t-test.
    """

    name: str
    mean: float
    half: float
    effect: float
    p: float

    @property
    def sign(self) -> int:
        """1 or -1 where the interval excludes 0, else 0."""
        return int(np.sign(self.mean)) if abs(self.mean) > self.half else 0


def check(study: Study) -> None:
    """Raises InputError for a study that cannot be run or answered."""
    unknown = study.expects.keys() - study.points.keys() | {study.first} & study.expects.keys()
    if unknown or not study.expects or study.seeds < 2:
        raise InputError("a study expects something of points besides its first, with two seeds")
    for point in study.points.values():
        check_names(applied(configuration.check(study.base()), point))


def runs(study: Study, folder: Path) -> Iterator[tuple[str, int, dict[str, Any], Path]]:
    """Yields the point, seed, config and workdir of each run, seed by seed."""
    base = configuration.check(study.base())
    for seed in range(base["seed"], base["seed"] + study.seeds):
        for name, point in study.points.items():
            config = {**applied(base, point), "seed": seed}
            yield name, seed, config, folder / name / f"seed_{seed}"


def collected(study: Study, folder: Path) -> dict[str, list[float]]:
    """Returns the numbers of the finished runs of each point, in the order of their seeds."""
    found: dict[str, list[float]] = {name: [] for name in study.points}
    for name, _, _, workdir in runs(study, folder):
        found[name].append(study.scale * study.measure(workdir))
    return found


def differences(study: Study, found: Mapping[str, list[float]]) -> list[Difference]:
    """Returns how each other point differs from the first."""
    from scipy import stats

    made = []
    for name in study.points:
        if name == study.first:
            continue
        pairs = np.subtract(found[name], found[study.first])
        mean, half = interval(list(pairs))
        spread = float(np.std(pairs, ddof=1))
        if spread == 0:
            p, effect = (1.0, 0.0) if mean == 0 else (0.0, math.copysign(math.inf, mean))
        else:
            p, effect = (
                float(stats.ttest_rel(found[name], found[study.first]).pvalue),
                mean / spread,
            )
        made.append(Difference(name, mean, half, effect, p))
    return made


def answer(study: Study, made: list[Difference]) -> str:
    """Returns what becomes of the claim.

    Supported where all the differences it speaks of go its way, intervals and all; not supported
    where some go the other way and none its; mixed where some do each, or only some can be told.
    """
    signs = [study.expects[d.name] * d.sign for d in made if d.name in study.expects]
    if all(sign == 1 for sign in signs):
        return SUPPORTED
    if 1 not in signs:
        return NOT if -1 in signs else UNDECIDED
    return MIXED
