"""Images of a test that look like images of the training: what they tell is no test."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from PIL import Image

from cnnjax.data.findings import ALIKE
from cnnjax.data.inspection import FLAT, SIDE

KEPT = 32  # directions in which images are compared first
BLOCK = 1000


@dataclasses.dataclass(frozen=True)
class Pair:
    """Places of two images, their correlation at 16 x 16, and whether all pixels are equal."""

    train: int
    test: int
    correlation: float
    equal: bool


def averaging(size: int) -> np.ndarray:
    """Returns the matrix (SIDE, size) by which Pillow resizes a side to SIDE, by boxes."""
    unit = Image.fromarray(np.eye(size, dtype=np.float32))
    return np.asarray(unit.resize((size, SIDE), Image.Resampling.BOX))


def looks(images: Any) -> np.ndarray:
    """Returns grey images at 16 x 16, (n, 256), of mean 0 and length 1; of flat ones, zeros.

    What `cnnjax.data.inspection.look` makes of each, for many images of one size at once.
    """
    found = []
    rows, columns = averaging(images.shape[1]), averaging(images.shape[2])
    for start in range(0, len(images), BLOCK):
        grey = np.asarray(images[start : start + BLOCK]).mean(-1, dtype=np.float32)
        small = (rows @ grey @ columns.T).reshape(len(grey), -1)
        small -= small.mean(1, keepdims=True)
        length = np.linalg.norm(small, axis=1, keepdims=True)
        found.append(np.where(length > FLAT * SIDE, small / np.maximum(length, 1e-6), 0))
    return np.concatenate(found)


def near_duplicates(train: Any, test: Any, least: float = ALIKE) -> list[Pair]:
    """Returns the pairs whose correlation is `least` or more, the most alike first.

    Args:
      train, test: (n, height, width, channels) uint8, arrays or `cnnjax.data.Files`.
    """
    learnt, tested = looks(train), looks(test)
    # Looks differ by no less than their projections do: few pairs are left to compare in full.
    basis = np.linalg.eigh(learnt.T @ learnt)[1][:, -KEPT:]
    one, other = learnt @ basis, tested @ basis
    halves = [(x**2).sum(1, keepdims=True) / 2 for x in (one, other)]
    one = np.concatenate([one, -halves[0], np.ones_like(halves[0])], 1).T.copy()
    other = np.concatenate([other, np.ones_like(halves[1]), -halves[1]], 1)
    pairs = []
    for start in range(0, len(other), BLOCK):
        close = other[start : start + BLOCK] @ one >= least - 1 - 1e-5
        rows, columns = np.divmod(np.flatnonzero(close), len(learnt))
        correlations = np.einsum("ij,ij->i", tested[start + rows], learnt[columns])
        for k in np.flatnonzero(correlations >= least):
            i, j = int(columns[k]), int(start + rows[k])
            pairs.append(Pair(i, j, float(correlations[k]), bool((train[i] == test[j]).all())))
    return sorted(pairs, key=lambda pair: (not pair.equal, -pair.correlation))
