"""Files with the names of our own leaves, `params/stem/conv/kernel`, in our own layout."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

AXES = (-2, -1)  # of input and output features in a kernel
COLLECTIONS = ("params/", "batch_stats/")


def own(tensors: Mapping[str, np.ndarray]) -> bool:
    """Returns whether all names are those of our leaves."""
    return bool(tensors) and all(name.startswith(COLLECTIONS) for name in tensors)


def correspondence(
    named: Mapping[str, str | None],
    modules: Mapping[str, list[str]],
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, np.ndarray],
) -> dict[str, str]:
    """Returns leaf of ours -> name of its tensor, which is the same."""
    del named, shapes, tensors
    return {leaf: leaf for leaves in modules.values() for leaf in leaves}


def arranged(tensor: np.ndarray, shape: tuple[int, ...], channels: int | None) -> np.ndarray:
    """Returns the tensor as it is."""
    del shape, channels
    return tensor


def filed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape that a file has of a leaf."""
    return shape
