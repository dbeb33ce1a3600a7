"""A space: the fields of a config that a sweep varies, from text or a Python file."""

from __future__ import annotations

import dataclasses
import itertools
import math
import runpy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.errors import InputError
from cnnjax.sweep.dimension import USAGE, Dimension, dimension, split

Point = Mapping[str, Any]
# Points of a grid: each is looked for among those that have been tried.
MOST = 10**6


@dataclasses.dataclass(frozen=True)
class Space:
    """Fields with their values, in the order they were given."""

    dimensions: tuple[Dimension, ...]

    @property
    def size(self) -> float:
        """How many points there are; infinite with any range of real numbers."""
        return math.prod(d.size for d in self.dimensions)

    def texts(self) -> dict[str, str]:
        return {d.field: d.text for d in self.dimensions}

    def grid(self) -> Iterator[dict[str, Any]]:
        """Returns every point, made as it is asked for, the last field changing fastest.

        Raises InputError for too many of them, and for a range of real numbers.
        """
        values = [d.every() for d in self.dimensions]
        if self.size > MOST:
            raise InputError(
                f"a grid of {self.size:.3g} points is too large; at most {MOST:,}: take fewer "
                "values, or another sampler"
            )
        fields = [d.field for d in self.dimensions]
        return (dict(zip(fields, point, strict=True)) for point in itertools.product(*values))

    def point(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the point that a storage of trials holds as `stored`."""
        return {d.field: d.value(stored[d.field]) for d in self.dimensions}

    def stored(self, point: Point) -> dict[str, Any]:
        """Returns what a storage of trials holds for a point."""
        return {d.field: d.stored(point[d.field]) for d in self.dimensions}

    def random(self, draw: np.random.Generator) -> dict[str, Any]:
        """Returns a point of a space that has finitely many."""
        values = {d.field: d.every() for d in self.dimensions}
        return {field: every[int(draw.integers(len(every)))] for field, every in values.items()}


def read(given: str) -> Space:
    """Returns the space of a text, or of a Python file that has it under the name SPACE.

    In a file SPACE is the text, or a dict from fields to what stands behind the = or to a list of
    choices.
    """
    if not given.strip():
        raise InputError(f"the space is empty; {USAGE}: 'optimizer.learning_rate=log(1e-4,1e-1)'")
    if given.strip().endswith(".py"):
        return from_file(Path(given.strip()))
    return from_text(given)


def from_text(text: str) -> Space:
    entries = []
    for entry in filter(None, split(text.replace(";", " "), None)):
        field, equals, values = entry.partition("=")
        if not equals or not field or not values:
            raise InputError(f"cannot read {entry!r} in the space: write FIELD=VALUES; {USAGE}")
        entries.append((field, values))
    return from_entries(entries)


def from_file(path: Path) -> Space:
    if not path.is_file():
        raise InputError(f"space file {path} does not exist")
    try:
        found = runpy.run_path(str(path)).get("SPACE")
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"space file {path} cannot be run ({reason})") from error
    if isinstance(found, str):
        return from_text(found)
    if not isinstance(found, Mapping):
        raise InputError(f"{path} lacks SPACE: a text, or a dict from fields to values")
    for field, values in found.items():
        if not isinstance(field, str) or not isinstance(values, str | Sequence):
            raise InputError(
                f"{path}: SPACE has {field!r}: {values!r}; give a field by its name, and as its "
                f"values a text or a list; {USAGE}"
            )
    return from_entries(
        [(field, v if isinstance(v, str) else "|".join(map(repr, v))) for field, v in found.items()]
    )


def from_entries(entries: Sequence[tuple[str, str]]) -> Space:
    seen: set[str] = set()
    for field, _ in entries:
        whole = field.partition("[")[0]
        if field in seen or (whole != field and whole in seen):
            raise InputError(f"the space has {field} twice")
        seen.add(field)
        if whole == field and any(other.startswith(f"{field}[") for other, _ in entries):
            raise InputError(f"the space has {field} and a part of it; give one of them")
    if not entries:
        raise InputError(f"the space is empty; {USAGE}")
    return Space(tuple(dimension(field, values) for field, values in entries))
