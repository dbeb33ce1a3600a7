"""What PyTorch writes: a state dict of tensors named `layer1.0.conv1.weight`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnjax.errors import InputError
from cnnjax.transfer import pickles

LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
AXES = (1, 0)  # of input and output features in a kernel
WRAPPERS = ("module.", "_orig_mod.", "model.")  # DataParallel, torch.compile, Lightning
IGNORED = r".*\.num_batches_tracked"


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the tensors of the state dict in the file, in its order."""
    return unwrapped(state_dict(path, pickles.load(path)))


def state_dict(path: str | os.PathLike, saved: Any) -> dict[str, np.ndarray]:
    """Returns the dict of tensors in a checkpoint, which may hold other things besides."""
    tensors = tensors_of(saved)
    if tensors:
        return tensors
    inner = {k: tensors_of(v) for k, v in saved.items()} if isinstance(saved, Mapping) else {}
    inner = {k: v for k, v in inner.items() if v}
    if len(inner) == 1 or "state_dict" in inner:
        return inner.get("state_dict") or next(iter(inner.values()))
    found = f"several: {', '.join(map(str, inner))}" if inner else "none"
    raise InputError(f"{path}: one dict of tensors by name is wanted, found {found}")


def tensors_of(saved: Any) -> dict[str, np.ndarray]:
    if not isinstance(saved, Mapping):
        return {}
    return {k: v for k, v in saved.items() if isinstance(k, str) and isinstance(v, np.ndarray)}


def unwrapped(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the tensors without a prefix that a wrapper put before every name."""
    for prefix in WRAPPERS:
        if tensors and all(name.startswith(prefix) for name in tensors):
            return unwrapped({name.removeprefix(prefix): t for name, t in tensors.items()})
    return tensors


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
    theirs = dict.fromkeys(name.rpartition(".")[0] for name in tensors)
    unnamed = iter([module for module in theirs if module not in named.values()])
    sources = {}
    for path, module in named.items():
        module = next(unnamed, path) if module is None else module
        for leaf in modules[path]:
            sources[leaf] = f"{module}.{LEAVES[leaf.rpartition('/')[2]]}"
    return sources


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
