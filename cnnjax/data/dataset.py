"""A data set in memory, and batches that are a function of (seed, step)."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Examples: `images` (n, height, width, channels) uint8 and `labels` (n,) int32."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> Split:
        return Split(self.images[indices], self.labels[indices])


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits and what a network has to know of them.

    Attributes:
      mean, std: per channel, of the pixels / 255 of `train`.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels


def statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation per channel of pixels / 255, exactly.

    Counts of the 256 values are integers, so neither the order nor the size of the set costs
    precision. A constant channel gets the standard deviation 1.
    """
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[-1]):
        counts = np.bincount(images[..., channel].ravel(), minlength=256)
        mean = float(counts @ values / counts.sum())
        variance = float(counts @ (values - mean) ** 2 / counts.sum())
        means.append(mean)
        stds.append(variance**0.5 or 1.0)
    return tuple(means), tuple(stds)


def hold_out(split: Split, share: float, seed: int) -> tuple[Split, Split]:
    """Returns (kept, held out): `share` of each class, chosen by `seed`, in the original order.

    A class keeps at least one example. A share of 0 holds nothing out.
    """
    generator = np.random.default_rng([seed, 0x5EED])
    held = np.zeros(len(split), bool)
    for label in np.unique(split.labels):
        members = generator.permutation(np.flatnonzero(split.labels == label))
        held[members[: min(round(len(members) * share), len(members) - 1)]] = True
    if share > 0 and not held.any():
        raise InputError(
            f"a validation share of {share:g} of {len(split)} examples holds none out; "
            "give a larger data.validation, or 0"
        )
    return split.take(np.flatnonzero(~held)), split.take(np.flatnonzero(held))


@functools.lru_cache(maxsize=2)
def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Returns the order in which `count` examples pass in an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count).astype(np.int32)


def batch_indices(count: int, seed: int, step: int, batch_size: int) -> np.ndarray:
    """Returns the examples of step `step` (from 0).

    The epochs follow each other without a gap: every example passes once per epoch, and a batch
    may end one epoch and begin the next.
    """
    parts, position, end = [], step * batch_size, (step + 1) * batch_size
    while position < end:
        epoch, first = divmod(position, count)
        parts.append(order(count, seed, epoch)[first : first + end - position])
        position += len(parts[-1])
    return np.concatenate(parts)


def batch(split: Split, seed: int, step: int, batch_size: int) -> dict[str, np.ndarray]:
    """Returns the `image` (uint8) and `label` (int32) of step `step`."""
    indices = batch_indices(len(split), seed, step, batch_size)
    return {"image": split.images[indices], "label": split.labels[indices]}


def normalize(
    images: jax.Array, mean: tuple[float, ...] = (0.0,), std: tuple[float, ...] = (1.0,)
) -> jax.Array:
    """Returns (pixels / 255 - mean) / std as float32, from uint8 or float pixels in [0, 255]."""
    scale = 1 / (255 * np.asarray(std, np.float32))
    offset = np.asarray(mean, np.float32) / np.asarray(std, np.float32)
    return jnp.asarray(images, jnp.float32) * scale - offset
