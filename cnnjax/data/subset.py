"""Some classes of a data set, and some of its training images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from cnnjax.data.dataset import Source, Split, hold_out
from cnnjax.errors import InputError, nearest


def of_classes(source: Source, names: Sequence[str]) -> Source:
    """Returns the examples of the named classes, whose labels are their places in `names`."""
    for name in names:
        if name not in source.class_names:
            raise InputError(f"data.only names {name!r}{nearest(name, source.class_names)}")
    if len(set(names)) < len(names):
        raise InputError(f"data.only names a class twice: {', '.join(names)}")
    places = np.full(len(source.class_names), -1, np.int32)
    places[[source.class_names.index(name) for name in names]] = np.arange(len(names))

    def kept(split: Split) -> Split:
        if "label" not in split.targets:
            raise InputError("data.only needs one label per image")
        labels = places[split.targets["label"]]
        chosen = split.chosen(np.flatnonzero(labels >= 0))
        return Split(chosen.images, {**chosen.targets, "label": labels[labels >= 0]})

    return dataclasses.replace(
        source,
        train=kept(source.train),
        test=kept(source.test),
        validation=None if source.validation is None else kept(source.validation),
        class_names=tuple(names),
    )


def limited(train: Split, count: int, seed: int, stratify: str) -> Split:
    """Returns `count` examples, give or take rounding, of every class its share, by the seed."""
    if count >= len(train):
        raise InputError(f"data.limit={count} of {len(train)} training examples: give fewer, or 0")
    return hold_out(train, count / len(train), seed, stratify)[1]
