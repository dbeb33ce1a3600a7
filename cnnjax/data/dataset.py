"""A data set in memory, and batches that are a function of (seed, step)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.errors import InputError

# What an example's input is called; every other name is a target's.
IMAGE = "image"
# The class of pixels, in a mask, that teach nothing and are not counted.
IGNORED = 255


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Examples.

    Attributes:
      images: (n, height, width, channels), uint8: an array, or `Files` on disk.
      targets: what is to be learnt of them, by name: (n, ...), as the task says.
    """

    images: Any
    targets: Mapping[str, np.ndarray]

    def __post_init__(self):
        for name, array in self.targets.items():
            if name == IMAGE or len(array) != len(self.images):
                raise InputError(f"{len(array)} of {name!r} do not fit {len(self.images)} images")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All that an example holds, by name: `image`, and the targets."""
        return {IMAGE: self.images, **self.targets}

    def chosen(self, indices: np.ndarray) -> Split:
        """Returns the examples at the indices; images on disk stay there."""
        images = self.images.take(indices, axis=0)
        return Split(images, {k: v[indices] for k, v in self.targets.items()})

    def take(self, indices: np.ndarray | slice) -> Split:
        """Returns the examples at the indices, with their images in memory."""
        return Split(self.images[indices], {k: v[indices] for k, v in self.targets.items()})


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a network has to know of its examples.

    Attributes:
      shape: height, width and channels of an image.
      class_names: of what is shown; empty where there are no classes.
    """

    shape: tuple[int, int, int]
    class_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits and what a network has to know of them.

    Attributes:
      mean, std: per channel, of the pixels / 255 of `train`.
      notes: sentences for people on what was found, and what was assumed.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def facts(self) -> Facts:
        return Facts(self.shape, self.class_names)


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A data set as it is published: `cnnjax.data.load` does the rest.

    Attributes:
      class_names: of what is shown; empty where there are no classes.
      validation: where the set has a split of its own for it; None: a share of train is held out.
      notes: sentences for people on what was found, and what was assumed.
    """

    train: Split
    test: Split
    class_names: tuple[str, ...] = ()
    validation: Split | None = None
    notes: tuple[str, ...] = ()


def statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation per channel of pixels / 255, exactly.

    Counts of the 256 values are integers, so neither the order nor the size of the set costs
    precision. A constant channel gets the standard deviation 1.
    """
    channels = range(images.shape[-1])
    return from_counts([np.bincount(images[..., c].ravel(), minlength=256) for c in channels])


def from_counts(total: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation from how often each channel has each of 256 values."""
    values = np.arange(256) / 255
    means, stds = [], []
    for counts in total:
        mean = float(counts @ values / counts.sum())
        variance = float(counts @ (values - mean) ** 2 / counts.sum())
        means.append(mean)
        stds.append(variance**0.5 or 1.0)
    return tuple(means), tuple(stds)


def hold_out(split: Split, share: float, seed: int, stratify: str = "") -> tuple[Split, Split]:
    """Returns (kept, held out): a `share` chosen by `seed`, in the original order.

    The share is that of each value of the target `stratify`, if there is one by that name. A value
    keeps at least one example. A share of 0 holds nothing out.
    """
    strata = split.targets.get(stratify, np.zeros(len(split), np.int32))
    generator = np.random.default_rng([seed, 0x5EED])
    held = np.zeros(len(split), bool)
    for value in np.unique(strata):
        members = generator.permutation(np.flatnonzero(strata == value))
        held[members[: min(round(len(members) * share), len(members) - 1)]] = True
    if share > 0 and not held.any():
        raise InputError(
            f"a validation share of {share:g} of {len(split)} examples holds none out; "
            "give a larger data.validation, or 0"
        )
    return split.chosen(np.flatnonzero(~held)), split.chosen(np.flatnonzero(held))


@functools.lru_cache(maxsize=2)
def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Returns the order in which `count` examples pass in an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count).astype(np.int32)


Order = Callable[[int, int, int], np.ndarray]


def batch_indices(
    count: int, seed: int, step: int, batch_size: int, order: Order = order
) -> np.ndarray:
    """Returns the examples of step `step` (from 0).

    The epochs follow each other without a gap: every example passes once per epoch, and a batch
    may end one epoch and begin the next. Another `order` of (count, seed, epoch) may repeat some.
    """
    parts, position, end = [], step * batch_size, (step + 1) * batch_size
    while position < end:
        epoch, first = divmod(position, count)
        parts.append(order(count, seed, epoch)[first : first + end - position])
        position += len(parts[-1])
    return np.concatenate(parts)


def batch(split: Split, seed: int, step: int, batch_size: int) -> dict[str, np.ndarray]:
    """Returns the arrays of step `step`: `image` (uint8), and the targets by name."""
    return split.take(batch_indices(len(split), seed, step, batch_size)).arrays


def normalize(
    images: jax.Array, mean: tuple[float, ...] = (0.0,), std: tuple[float, ...] = (1.0,)
) -> jax.Array:
    """Returns (pixels / 255 - mean) / std as float32, from uint8 or float pixels in [0, 255]."""
    scale = 1 / (255 * np.asarray(std, np.float32))
    offset = np.asarray(mean, np.float32) / np.asarray(std, np.float32)
    return jnp.asarray(images, jnp.float32) * scale - offset
