"""Data sets by name: uint8 images in memory, split, with computed statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnjax import fields
from cnnjax.data.dataset import (
    IMAGE,
    Dataset,
    Facts,
    Split,
    batch,
    batch_indices,
    hold_out,
    normalize,
    statistics,
)  # fmt: skip
from cnnjax.data.sources import DATASETS, resize, tfds_source
from cnnjax.errors import InputError

__all__ = [
    "DATASETS", "IMAGE", "Dataset", "Facts", "Split", "batch", "batch_indices", "load", "normalize",
    "task_of",
]  # fmt: skip
# A source that can serve several tasks, or another than this, has an argument `task`.
TASK = "classification"


def check(name: str, **options: Any) -> dict[str, Any]:
    """Returns a source's own options, or raises InputError; reads nothing."""
    known = fields.defaults(DATASETS[name], hidden=("task",)) if name in DATASETS else {}
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
    seed: int = 0,
    task: str = "",
    stratify: str = "label",
    **options: Any,
) -> Dataset:
    """Returns the data set `name`.

    Args:
      name: in `DATASETS`, or a TFDS image classification set: prepared under `data_dir`, or one
        that `cnnjax.data.prepare` can prepare.
      data_dir: where TFDS sets are; None: ~/tensorflow_datasets.
      manual_dir: archives already on disk, for preparing without a download.
      validation: share of train that is held out, chosen by `seed`.
      task: what the set is wanted for, where its source knows several; empty: what it is for.
      stratify: the target of which every split holds the same shares, if the set has it.
      image_size: pixels per side to resize to; 0 keeps the set's own.
      options: fields of the source function.
    """
    options = check(name, **options)
    if name in DATASETS:
        if task and "task" in fields.defaults(DATASETS[name]):
            options["task"] = task
        source = DATASETS[name](**options)
    else:
        source = tfds_source(name, data_dir or "", manual_dir or "", image_size)
    train, test = (resized(s, image_size) for s in (source.train, source.test))
    train, held = hold_out(train, validation, seed, stratify)
    if not len(train) or not len(test):
        raise InputError(f"{name}: no examples left: {len(train)} train, {len(test)} test")
    mean, std = statistics(train.images)
    return Dataset(name, train, held, test, source.class_names, mean, std)


def resized(split: Split, size: int) -> Split:
    if not size or split.images.shape[1:3] == (size, size):
        return split
    return Split(np.stack([resize(image, size) for image in split.images]), split.targets)
