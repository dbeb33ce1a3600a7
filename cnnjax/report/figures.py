"""How good a classifier is, class by class, with the intervals that so many examples allow."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import special

LEVEL = 0.95


@dataclasses.dataclass(frozen=True, eq=False)
class PerClass:
    """Figures of every class, arrays (classes,); NaN where there is nothing to divide by.

    Attributes:
      examples, predicted: how many are of the class, and how many are taken for it.
      intervals: figure -> its 95 % interval, (low, high), each (classes,).
    """

    examples: np.ndarray
    predicted: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    intervals: dict[str, tuple[np.ndarray, np.ndarray]]


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Returns how often the class of the row was taken for that of the column, int64."""
    flat = labels.astype(np.int64) * classes + predicted
    return np.bincount(flat, minlength=classes**2).reshape(classes, classes)


def wilson(successes: Any, count: Any, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Returns Wilson's score interval of shares (Wilson 1927); [0, 1] of no examples."""
    count = np.asarray(count, np.float64)
    some = np.maximum(count, 1)
    share = np.asarray(successes) / some
    z = special.ndtri((1 + level) / 2)
    middle = (share + z**2 / (2 * some)) / (1 + z**2 / some)
    spread = np.sqrt(share * (1 - share) / some + z**2 / (4 * some**2)) * z / (1 + z**2 / some)
    low, high = np.maximum(middle - spread, 0), np.minimum(middle + spread, 1)
    return np.where(count, low, 0.0), np.where(count, high, 1.0)


def per_class(matrix: np.ndarray) -> PerClass:
    """Returns the figures of a confusion matrix.

    F1 = 2 J / (1 + J) grows with the share J of hits among all that is of the class or taken for
    it: its interval is that of J, on the scale of F1.
    """
    hits, examples, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    either = examples + predicted - hits
    low, high = wilson(hits, either)
    return PerClass(
        examples,
        predicted,
        share(hits, predicted),
        share(hits, examples),
        share(2 * hits, examples + predicted),
        {
            "precision": wilson(hits, predicted),
            "recall": wilson(hits, examples),
            "f1": (2 * low / (1 + low), 2 * high / (1 + high)),
        },
    )


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def top(scores: np.ndarray, labels: np.ndarray, count: int) -> int:
    """Returns how many examples have their class among the `count` with the highest scores."""
    own = np.take_along_axis(scores, labels[:, None], 1)
    return int(((scores > own).sum(1) < count).sum())


def most_confused(matrix: np.ndarray, most: int) -> np.ndarray:
    """Returns at most `most` classes, in their order: those of the most frequent confusions."""
    if len(matrix) <= most:
        return np.arange(len(matrix))
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    chosen: dict[int, None] = {}
    for flat in np.argsort(-wrong, axis=None, kind="stable"):
        chosen.update(dict.fromkeys(divmod(int(flat), len(matrix))))
        if len(chosen) >= most:
            break
    return np.sort(list(chosen)[:most])


def paired(one: np.ndarray, other: np.ndarray) -> tuple[int, int, float]:
    """Compares two networks on the same examples, given where each is right.

    Returns how many only the first and only the second has right, and the p-value of the exact
    McNemar test: how likely a difference of this size is were both equally good.
    """
    first, second = int((one & ~other).sum()), int((other & ~one).sum())
    few = min(first, second)
    p = 2 * special.bdtr(few, first + second, 0.5) if first + second else 1.0
    return first, second, float(min(p, 1.0))
