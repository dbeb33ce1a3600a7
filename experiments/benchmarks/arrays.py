"""The images of a work: the same arrays for every contestant, through files of numpy."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from cnnjax.errors import InputError
from experiments.benchmarks.works import DIGITS, Work

BATCHES = 32  # of a work whose speed is measured, if they take no more bytes than
BYTES = 2**26


@dataclasses.dataclass(frozen=True, eq=False)
class Arrays:
    """Images (n, height, width, channels) uint8 and labels (n,) int32, to train and to test."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def make(work: Work, data_dir: str) -> Arrays:
    """Returns digits where `data_dir` has them and the work takes them, random pixels otherwise.

    To measure speed, whole batches are taken that fit into some memory, for testing, too.
    """
    if work.epochs:
        return mnist(data_dir)
    size = work.batch * int(np.prod(work.shape))
    count = work.batch * max(min(BATCHES, BYTES // size), 4)
    if data_dir and work.shape == DIGITS:
        digits = mnist(data_dir)
        images, labels = digits.images[:count], digits.labels[:count]
    else:
        generator = np.random.default_rng(0)
        images = generator.integers(0, 256, (count, *work.shape), np.uint8)
        labels = generator.integers(0, work.classes, count, np.int32)
    return Arrays(images, labels, images, labels)


def check(data_dir: str) -> None:
    """Refuses a folder that holds no MNIST: the benchmark fetches nothing."""
    from cnnjax.data import prepare

    if not prepare.is_prepared("mnist", prepare.data_directory(data_dir)):
        raise InputError(f"--data_dir: {data_dir} holds no prepared MNIST")


def mnist(data_dir: str) -> Arrays:
    """Returns all 60,000 digits, and 10,000 to test."""
    from cnnjax import data

    dataset = data.load("mnist", data_dir, validation=0.0)
    train, test = dataset.train, dataset.test
    return Arrays(train.images, train.targets["label"], test.images, test.targets["label"])


def write(arrays: Arrays, folder: Path) -> None:
    """Writes one file of numpy's per array."""
    folder.mkdir()
    for name, array in vars(arrays).items():
        np.save(folder / f"{name}.npy", array)


def read(folder: Path) -> Arrays:
    names = (field.name for field in dataclasses.fields(Arrays))
    return Arrays(*(np.load(folder / f"{name}.npy") for name in names))


def normalised(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images, to train and to test, as float32 of mean 0 and deviation 1 per channel.

    Our own side does this in its step; the others are handed floats, which favours them.
    """
    axes = (0, 1, 2)
    mean = arrays.images.mean(axes, dtype=np.float64).astype(np.float32)
    std = arrays.images.std(axes, dtype=np.float64).astype(np.float32)
    train = (arrays.images - mean) / std
    if arrays.test_images is arrays.images:
        return train, train
    return train, (arrays.test_images - mean) / std
