"""An order of examples in which all classes are equally frequent."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Balanced:
    """An order for `batch_indices`: as many examples of each class in an epoch.

    An epoch is as long as ever: large classes pass in part, another one each time, and the examples
    of small ones several times.
    """

    labels: np.ndarray

    def __call__(self, count: int, seed: int, epoch: int) -> np.ndarray:
        """Returns the order in which `count` examples pass in an epoch."""
        return order(self, count, seed, epoch)


@functools.lru_cache(maxsize=2)
def order(balanced: Balanced, count: int, seed: int, epoch: int) -> np.ndarray:
    generator = np.random.default_rng([seed, epoch, 0xBA1])
    classes = generator.permutation(np.unique(balanced.labels))
    parts = []
    for i, label in enumerate(classes):
        members = np.flatnonzero(balanced.labels == label)
        wanted = count // len(classes) + (i < count % len(classes))
        rounds = -(-wanted // len(members))
        drawn = [generator.permutation(members) for _ in range(rounds)]
        parts.append(np.concatenate([*drawn, members[:0]])[:wanted])
    return generator.permutation(np.concatenate(parts)).astype(np.int32)
