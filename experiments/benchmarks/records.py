"""What is kept of a benchmark: one record per device, precision and work."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnjax.workdir import files
from experiments.benchmarks import contestants

Record = dict[str, Any]


def identity(record: Record) -> tuple[str, str, str]:
    """Returns what a new record replaces an old one by."""
    return record["run"]["device"], record["run"]["precision"], record["work"]["name"]


def add(stored: Sequence[Record], new: Sequence[Record]) -> list[Record]:
    """Returns the records with `new` ones put in, those of one device together."""
    by_identity = {identity(record): record for record in (*stored, *new)}
    return sorted(by_identity.values(), key=lambda record: identity(record)[:2])


def read(store: Path) -> list[Record]:
    return files.read_json(store, list) if store.exists() else []


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns the lower quartile, the median and the upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, method="inclusive")
    return low, middle, high


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Returns theirs over ours, round by round: above 1 where this project needs less."""
    return [their / our for our, their in zip(ours, theirs, strict=False)]


def values(record: Record, name: str, key: str) -> list[float]:
    """Returns what was measured of a contestant; nothing where anything is missing."""
    found = record["contestants"].get(name, {}).get(key, [])
    return [] if None in found else found


def best(record: Record, title: str, key: str) -> list[float]:
    """Returns the values of the contestant of this title that needs least."""
    names = [c.name for c in contestants.LISTED if c.title == title]
    found = [v for v in (values(record, name, key) for name in names) if v]
    return min(found, key=statistics.median, default=[])


def peak_share(record: Record, mode: str, seconds: float) -> float:
    """Returns how much of the machine's matmul peak a step or forward pass of `seconds` uses.

    A step counts as three forward passes, one for the input and one for the weight gradients.
    """
    passes = {"train": 3, "forward": 1}[mode]
    flops = 2 * passes * record["work"]["macs"] * record["work"]["batch"]
    return flops / seconds / max(record["run"]["peak"].values())
