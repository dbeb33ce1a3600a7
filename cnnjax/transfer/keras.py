"""What Keras writes: HDF5 files of layers, each with its variables in order.

Three layouts: `.weights.h5` of Keras 3 (groups counted by class, the layer's name in an attribute),
the same inside a `.keras` archive, and the older `.h5` (names in `layer_names`, `weight_names`).
A tensor is called "layer/number" here. A name that Keras made up, such as "conv2d_94", depends on
what else the process had built; its number only orders the layers of a class, so it is replaced by
"conv2d:0", "conv2d:1", ...
"""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnjax.errors import InputError
from cnnjax.transfer import keras_config, keras_weights
from cnnjax.transfer.hdf5 import Contents

LEAVES = ("kernel", "scale", "bias", "mean", "var")  # the order of a layer's variables
AXES = (-2, -1)  # of input and output features in a kernel
AUTOMATIC = r"(conv2d|batch_normalization|dense)(?:_(\d+))?"


def tensors(path: str | os.PathLike, contents: Contents) -> dict[str, np.ndarray]:
    """Returns the tensors of a `.weights.h5`, `.h5` or `.keras` file."""
    layers = []
    if contents.config is not None:
        layers = keras_config.parsed(contents.config, str(path))["config"].get("layers", [])
    return canonical(groups(path, contents, layers))


def groups(
    path: str | os.PathLike, contents: Contents, layers: list[Any]
) -> dict[str, list[np.ndarray]]:
    """Returns layer name -> its arrays, from either layout."""
    root = keras_weights.listing(contents)
    if root is not None:
        return {
            layer: [contents.arrays[f"{root}{layer}/{name}"] for name in words]
            for layer in keras_weights.names(contents, root, "layer_names")
            for words in [keras_weights.names(contents, root + layer, "weight_names")]
        }
    names = names_by_group(layers)
    found: dict[str, list[np.ndarray]] = {}
    for place in sorted(contents.arrays, key=in_number_order):
        match = re.fullmatch(r"layers/([^/]+)/vars/\d+", place)
        if match is not None:
            told = contents.attributes.get(f"layers/{match[1]}/vars", {}).get("name")
            name = told or names.get(match[1], match[1])
            found.setdefault(name, []).append(keras_weights.widened(contents, place))
    if not found:
        raise InputError(f"{path}: an HDF5 file, but not one of Keras (no layers in it)")
    return found


def in_number_order(place: str) -> tuple[str, int]:
    group, _, number = place.rpartition("/")
    return group, int(number) if number.isdigit() else 0


def names_by_group(layers: list[Any]) -> dict[str, str]:
    """Returns the group that a config's layers are stored under -> their names.

    A group is the class in snake case and, from the second one of a class, its number.
    """
    counts: dict[str, int] = {}
    names = {}
    for layer in layers:
        kind = keras_weights.snake_case(layer["class_name"])
        count = counts[kind] = counts.get(kind, -1) + 1
        names[f"{kind}_{count}" if count else kind] = layer["config"]["name"]
    return names


def canonical(layers: dict[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns "layer/number" -> array, with automatic names counted from zero."""
    automatic: dict[str, list[tuple[int, str]]] = {}
    for layer, arrays in layers.items():
        if arrays and (match := re.fullmatch(AUTOMATIC, layer)):
            automatic.setdefault(match[1], []).append((int(match[2] or 0), layer))
    names = {
        layer: f"{kind}:{i}"
        for kind, found in automatic.items()
        for i, (_, layer) in enumerate(sorted(found))
    }
    return {
        f"{names.get(layer, layer)}/{i}": values
        for layer, arrays in layers.items()
        for i, values in enumerate(arrays)
    }


def correspondence(
    named: Mapping[str, str | None],
    modules: Mapping[str, list[str]],
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, np.ndarray],
) -> dict[str, str]:
    """Returns leaf of ours -> name of its tensor.

    Args:
      named: path of our module, in the order of the calls -> layer; None for the next layer of its
        class with an automatic name. Two of our modules may be one layer.
      modules: path -> leaves; `shapes`: of the leaves.
    """
    del tensors
    automatic, variables, sources = collections.Counter(), collections.Counter(), {}
    for path, layer in named.items():
        if layer is None:
            kind = class_of(modules[path][0], shapes)
            layer = f"{kind}:{automatic[kind]}"
            automatic[kind] += 1
        for leaf in modules[path]:
            sources[leaf] = f"{layer}/{variables[layer]}"
            variables[layer] += 1
    return sources


def class_of(leaf: str, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Returns the class of the layer whose first variable is `leaf`, as automatic names have it."""
    if not leaf.endswith("/kernel"):
        return "batch_normalization"
    return "dense" if len(shapes[leaf]) == 2 else "conv2d"


def arranged(tensor: np.ndarray, shape: tuple[int, ...], channels: int | None) -> np.ndarray:
    """Returns the tensor in our layout: depthwise (h, w, C, m) to (h, w, 1, C m); the rest is ours.

    Two dimensions in `shape` take a 1x1 convolution, too. `channels` do not matter.
    """
    del channels
    if tensor.ndim == 4 and len(shape) == 4 and shape[2] == 1:
        return tensor.reshape(*tensor.shape[:2], 1, -1)
    if tensor.ndim == 4 and len(shape) == 2:
        return tensor.reshape(-1, tensor.shape[-1])
    return tensor
