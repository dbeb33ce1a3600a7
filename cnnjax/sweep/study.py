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
from cnnjax.sweep import measures
from cnnjax.sweep.points import applied, check_names
from cnnjax.sweep.statistics import interval

SUPPORTED, NOT, MIXED, UNDECIDED = "supported", "not supported", "mixed", "undecided"


@dataclasses.dataclass(frozen=True)
class Curve:
    """What is shown of each run beside the number that decides: a figure over something.

    Attributes:
      over: what the figure depends on, with its unit: the horizontal axis.
      figure: what it is, with its unit: the vertical axis.
      values: from the workdir of a finished run to the figure at each place.
      log: whether the vertical axis is logarithmic.
    """

    over: str
    figure: str
    values: Callable[[Path], Mapping[float, float]]
    log: bool = False


@dataclasses.dataclass(frozen=True)
class Study:
    """A claim of an article and the runs that put it to the test.

    Attributes:
      claim: in the article's words.
      source: of the claim.
      question: that the runs answer.
      base: returns the config that all points start from.
      points: name -> fields and values; the first is what the others are compared with.
      expects: name of a point -> 1 if the claim has it above what it is compared with, -1 below.
      against: name of a point -> the one that it is compared with, where that is not the first.
      seeds: runs of each point.
      measure: from the workdir of a finished run to the number that is compared.
      measured: what that number is, with its unit.
      scale: what it is multiplied by.
      beside: further figures of a run that a reader wants to see, by what they are.
      curve: a further figure that is drawn.
      remarks: what a reader must know of the design.
    """

    claim: str
    source: str
    question: str
    base: Callable[[], Any]
    points: Mapping[str, Mapping[str, Any]]
    expects: Mapping[str, int]
    against: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seeds: int = 5
    measure: Callable[[Path], float] = measures.test_accuracy
    measured: str = "test accuracy, %"
    scale: float = 100.0
    beside: Mapping[str, Callable[[Path], float]] = dataclasses.field(default_factory=dict)
    curve: Curve | None = None
    remarks: str = ""

    @property
    def compared(self) -> dict[str, str]:
        """Name of a point -> the one that it is compared with, for all but the first."""
        first, *others = self.points
        return {name: self.against.get(name, first) for name in others}


@dataclasses.dataclass(frozen=True)
class Difference:
    """A point minus the one that it is compared with, pair by pair.

    Attributes:
      half: half the width of the 95 % interval of the mean.
      effect: the mean over the standard deviation of the pairs (Cohen's d for pairs).
      p: of the paired t-test.
    """

    name: str
    than: str
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
    unknown = {*study.expects, *study.against} - study.compared.keys()
    unknown |= set(study.against.values()) - study.points.keys()
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


def beside(study: Study, folder: Path) -> dict[str, dict[str, float]]:
    """Returns the means of the further figures: point -> figure -> mean over its seeds."""
    found: dict[str, dict[str, list[float]]] = {p: {} for p in study.points}
    for name, _, _, workdir in runs(study, folder):
        for what, measure in study.beside.items():
            found[name].setdefault(what, []).append(measure(workdir))
    return {
        point: {what: float(np.mean(values)) for what, values in figures.items()}
        for point, figures in found.items()
    }


def curves(study: Study, folder: Path) -> dict[str, dict[float, list[float]]]:
    """Returns the figure of the study's curve: point -> place -> one per seed."""
    found: dict[str, dict[float, list[float]]] = {p: {} for p in study.points}
    if study.curve is not None:
        for name, _, _, workdir in runs(study, folder):
            for place, value in study.curve.values(workdir).items():
                found[name].setdefault(place, []).append(value)
    return found


def differences(study: Study, found: Mapping[str, list[float]]) -> list[Difference]:
    """Returns how each point but the first differs from the one it is compared with."""
    from scipy import stats

    made = []
    for name, than in study.compared.items():
        pairs = np.subtract(found[name], found[than])
        mean, half = interval(list(pairs))
        spread = float(np.std(pairs, ddof=1))
        if spread == 0:
            p, effect = (1.0, 0.0) if mean == 0 else (0.0, math.copysign(math.inf, mean))
        else:
            p, effect = (
                float(stats.ttest_rel(found[name], found[than]).pvalue),
                mean / spread,
            )
        made.append(Difference(name, than, mean, half, effect, p))
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
