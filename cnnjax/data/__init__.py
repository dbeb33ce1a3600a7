"""Data sets by name: uint8 images in memory, split, with computed statistics."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from cnnjax import fields, images
from cnnjax.data import subset
from cnnjax.data.balance import Balanced
from cnnjax.data.dataset import (
    IGNORED,
    IMAGE,
    Dataset,
    Facts,
    Order,
    Split,
    batch,
    batch_indices,
    from_counts,
    hold_out,
    normalize,
    order,
    statistics,
)  # fmt: skip
from cnnjax.data.files import Files, ahead, counts
from cnnjax.data.sources import DATASETS, tfds_source
from cnnjax.errors import InputError

__all__ = [
    "DATASETS", "IGNORED", "IMAGE", "Balanced", "Dataset", "Facts", "Files", "Order", "Split",
    "ahead", "batch", "batch_indices", "load", "normalize", "order", "task_of",
]  # fmt: skip
# A source that can serve several tasks, or another than this, has an argument `task`.
TASK = "classification"


def check(name: str, **options: Any) -> dict[str, Any]:
    """Returns a source's own options, or raises InputError; reads nothing."""
    hidden = ("task", "preprocessing")
    known = fields.defaults(DATASETS[name], hidden) if name in DATASETS else {}
    return fields.checked(f"data set {name}", options, known)


def task_of(name: str) -> str:
    """Returns what a data set is for: the default of its source's argument `task`."""
    known = fields.defaults(DATASETS[name]) if name in DATASETS else {}
    return known.get("task", TASK)


def load(
    name: str,
    data_dir: str | None = None,
    *,
    manual_dir: str | None = None,
    validation: float = 0.1,
    image_size: int = 0,
    resize: str = "squash",
    crop_fraction: float = 1.0,
    interpolation: str = "bilinear",
    seed: int = 0,
    task: str = "",
    stratify: str = "label",
    only: tuple[str, ...] = (),
    limit: int = 0,
    **options: Any,
) -> Dataset:
    """Returns the data set `name`.

    Args:
      name: in `DATASETS`, or a TFDS image classification set: prepared under `data_dir`, or one
        that `cnnjax.data.prepare` can prepare.
      data_dir: where TFDS sets are; None: ~/tensorflow_datasets.
      manual_dir: archives already on disk, for preparing without a download.
      validation: share of train that is held out, chosen by `seed`, if the set has no split of
        its own for that.
      task: what the set is wanted for, where its source knows several; empty: what it is for.
      stratify: the target of which every split holds the same shares, if the set has it.
      only: names of the classes that are kept, in their new order; empty: all.
      limit: examples of train that are kept, chosen by `seed`; 0: all.
      image_size: pixels per side to resize to; 0 keeps the set's own.
      resize, crop_fraction, interpolation: how, as in `cnnjax.images.Preprocessing`.
      options: fields of the source function.
    """
    options = check(name, **options)
    size = images.Preprocessing((image_size, image_size), resize, crop_fraction, interpolation)
    if name in DATASETS:
        known = fields.defaults(DATASETS[name])
        given = {"task": task} if task and "task" in known else {}
        given |= {"preprocessing": size} if "preprocessing" in known else {}
        source = DATASETS[name](**options, **given)
    else:
        source = tfds_source(name, data_dir or "", manual_dir or "", size)
    if only:
        source = subset.of_classes(source, only)
    train, test = resized(source.train, size), resized(source.test, size)
    if source.validation is None:
        train, held = hold_out(train, validation, seed, stratify)
    else:
        held = resized(source.validation, size)
    if limit:
        train = subset.limited(train, limit, seed, stratify)
    if not len(train) or not len(test):
        raise InputError(f"{name}: no examples left: {len(train)} train, {len(test)} test")
    if isinstance(train.images, Files):
        mean, std = from_counts(counts(train.images))
    else:
        mean, std = statistics(train.images)
    return Dataset(name, train, held, test, source.class_names, mean, std, source.notes)


def resized(split: Split, size: images.Preprocessing) -> Split:
    """Returns the split with images of the size; those that a source has resized are of it."""
    before = split.images.shape[1:3]
    if size.size in ((0, 0), before):
        return split
    masks = {n: a for n, a in split.targets.items() if a.shape[1:] == before}
    for name, array in split.targets.items():
        if array.ndim > 1 and name not in masks and size.resize != "squash":
            raise InputError(
                f"data.resize={size.resize} would move what {name!r} says: give squash"
            )
    # Classes have no mean: the nearest pixel's; what is laid around is ignored.
    near = dataclasses.replace(size, interpolation="nearest", background=(IGNORED,) * 3)
    moved = {n: np.stack([images.resized(m[..., None], near)[..., 0] for m in a])
             for n, a in masks.items()}  # fmt: skip
    resized = np.stack([images.resized(image, size) for image in split.images])
    return Split(resized, {**split.targets, **moved})
