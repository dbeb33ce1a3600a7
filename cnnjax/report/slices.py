"""Parts of a data set, and in which of them a network does worst."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.report.figures import wilson

# Of a slice; fewer say nothing.
LEAST = 10
QUARTERS = ("lowest", "second", "third", "highest")


@dataclasses.dataclass(frozen=True, eq=False)
class Slice:
    """Examples that share something, and how the network does on them.

    Attributes:
      by, name: "brightness", "lowest quarter, up to 31".
      count: of its examples.
      mean: of what counts against the network, a share of errors or a loss; low, high: its 95 %
        interval; rest: the mean over all other examples.
    """

    by: str
    name: str
    members: np.ndarray
    mean: float
    low: float
    high: float
    rest: float

    @property
    def count(self) -> int:
        return len(self.members)


def measured(images: Any) -> dict[str, np.ndarray]:
    """Returns brightness and contrast of uint8 images: mean and standard deviation of pixels."""
    found = {"brightness": [], "contrast": []}
    for start in range(0, len(images), 500):
        part = np.asarray(images[start : start + 500])
        flat = part.reshape(len(part), -1).astype(np.float32)
        found["brightness"].append(flat.mean(1))
        found["contrast"].append(flat.std(1))
    return {name: np.concatenate(values) for name, values in found.items()}


def quarters(by: str, values: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yields the quarters of examples by a number of theirs; equal numbers are not parted."""
    edges = np.quantile(values, (0.25, 0.5, 0.75))
    place = np.searchsorted(edges, values, side="left")
    for i, word in enumerate(QUARTERS):
        members = np.flatnonzero(place == i)
        if len(members):
            low, high = values[members].min(), values[members].max()
            yield by, f"{word} quarter, {low:,.4g} to {high:,.4g}", members


def groups(
    by: str, values: np.ndarray, names: Sequence[str]
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yields the examples of each name, given the index of theirs."""
    for i, name in enumerate(names):
        members = np.flatnonzero(values == i)
        if len(members):
            yield by, name, members


def folders(files: Sequence[Path]) -> tuple[np.ndarray, list[str]]:
    """Returns for each file the index of its folder, and the folders' names below the common."""
    parents = [file.parent for file in files]
    names = sorted(set(parents))
    common = Path(*_common([p.parts for p in names]))
    index = {parent: i for i, parent in enumerate(names)}
    shown = [str(p.relative_to(common)) for p in names]
    return np.array([index[p] for p in parents]), shown


def _common(parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    same = 0
    for words in zip(*parts, strict=False):
        if len(set(words)) > 1:
            break
        same += 1
    return parts[0][:same]


def worst(
    against: np.ndarray,
    measures: Mapping[str, np.ndarray],
    named: Mapping[str, tuple[np.ndarray, Sequence[str]]],
) -> list[Slice]:
    """Returns the slices, the worst on top: by the lower end of their interval.

    Args:
      against: of each example, whether the network is wrong (bool), or its loss.
      measures: numbers of each example, of which quarters are slices.
      named: indices of names, and the names.
    """
    found = []
    parts = [part for by, values in measures.items() for part in quarters(by, values)]
    parts += [part for by, (values, names) in named.items() for part in groups(by, values, names)]
    total = float(against.sum())
    for by, name, members in parts:
        if len(members) < LEAST or len(members) == len(against):
            continue
        mine = float(against[members].sum())
        rest = (total - mine) / (len(against) - len(members))
        mean = mine / len(members)
        low, high = interval(against[members])
        found.append(Slice(by, name, members, mean, low, high, rest))
    return sorted(found, key=lambda s: -s.low)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of a mean: Wilson's of a share, else by the standard error."""
    if values.dtype == bool:
        low, high = wilson(values.sum(), len(values))
        return float(low), float(high)
    half = 1.96 * float(values.std()) / math.sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half
