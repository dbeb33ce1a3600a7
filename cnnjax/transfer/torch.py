"""What PyTorch writes: a state dict of tensors named `layer1.0.conv1.weight`."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from cnnjax.transfer import checkpoint, pickles

LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
AXES = (1, 0)  # of input and output features in a kernel
IGNORED = r"(.*\.)?num_batches_tracked|n_averaged"


def read(path: str | os.PathLike, select: str | None = None) -> dict[str, np.ndarray]:
    """Returns the tensors of the one state dict in the file, or of the one `select` names."""
    return checkpoint.state_dict(path, pickles.load(path), select)


def correspondence(
    named: Mapping[str, str | None],
    modules: Mapping[str, list[str]],
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, np.ndarray],
) -> dict[str, str]:
    """Returns leaf of ours -> name of its tensor.

    Args:
      named: path of our module, in the order of the calls -> module of the source; None for the
        next one, in the order of the tensors, that is not named.
      modules: path -> leaves.
    """
    del shapes
    kinds = kinds_of(tensors)
    taken = set(named.values())
    # In the order of the file; one that is alphabetical has "classifier" before "features".
    weighted = sorted((m for m in kinds if kinds[m] and m not in taken), key=lambda m: -kinds[m])
    unnamed = {
        True: iter(weighted),
        False: iter([m for m in kinds if not kinds[m] and m not in taken]),
    }
    sources = {}
    for path, module in named.items():
        if module is None:
            module = next(unnamed[modules[path][0].endswith("kernel")], path)
        for leaf in modules[path]:
            sources[leaf] = f"{module}.{LEAVES[leaf.rpartition('/')[2]]}"
    return sources


def kinds_of(tensors: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Returns module -> 2 for a convolution, 1 for a dense layer, 0 for a normalisation."""
    kinds: dict[str, int] = {}
    for name, tensor in tensors.items():
        module, _, last = name.rpartition(".")
        if last == "weight" and tensor.ndim:
            kinds[module] = min(tensor.ndim, 3) - 1
    return kinds


def filed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape that a file has of a leaf of ours: HWIO as OIHW, dense IO as OI."""
    return (*shape[:1:-1][:2], *shape[:2]) if len(shape) == 4 else shape[::-1]


def arranged(tensor: np.ndarray, shape: tuple[int, ...], channels: int | None) -> np.ndarray:
    """Returns the tensor in our layout: OIHW to HWIO, dense OI to IO.

    Args:
      shape: of our leaf. Two dimensions take a convolution over the whole of its input, too.
      channels: of the maps (C, H, W) that a dense layer flattens; ours flattens (H, W, C).
    """
    if tensor.ndim < 2:
        return tensor
    if tensor.ndim == 2 and channels and tensor.shape[1] % channels == 0:
        tensor = tensor.reshape(len(tensor), channels, -1)
    tensor = tensor.transpose(*range(2, tensor.ndim), 1, 0)
    return tensor.reshape(-1, tensor.shape[-1]) if len(shape) == 2 else tensor


def as_filed(array: np.ndarray, channels: int | None) -> np.ndarray:
    """Returns an array of ours as `arranged` takes it: HWIO as OIHW, dense IO as OI."""
    if array.ndim < 2:
        return array
    if array.ndim == 2 and channels and len(array) % channels == 0:
        array = array.reshape(-1, channels, array.shape[-1]).transpose(1, 0, 2)
        array = array.reshape(-1, array.shape[-1])
    return array.transpose(array.ndim - 1, array.ndim - 2, *range(array.ndim - 2))
