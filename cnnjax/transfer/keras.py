"""What Keras writes: HDF5 files of layers, each with its variables in order.

Three layouts: `.weights.h5` of Keras 3 (groups counted by class, the layer's name in an attribute),
the same inside a `.keras` archive, and the older `.h5` (names in `layer_names`, `weight_names`).
A tensor is called "layer/number" here. A name that Keras made up, such as "conv2d_94", depends on
what else the process had built; its number only orders the layers of a class, so it is replaced by
"conv2d:0", "conv2d:1", ...
"""

from __future__ import annotations

import collections
import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import h5py
import ml_dtypes
import numpy as np

from cnnjax.errors import InputError

LEAVES = ("kernel", "scale", "bias", "mean", "var")  # the order of a layer's variables
AXES = (-2, -1)  # of input and output features in a kernel
AUTOMATIC = r"(conv2d|batch_normalization|dense)(?:_(\d+))?"
WEIGHTS, CONFIG = "model.weights.h5", "config.json"


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the tensors of a `.weights.h5` or `.h5` file."""
    try:
        with h5py.File(path) as file:
            return canonical(groups(path, file, []))
    except OSError as error:
        raise InputError(f"{path} is not an HDF5 file, or damaged: {error}") from error


def read_archive(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the tensors of a `.keras` archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read(CONFIG))
            weights = io.BytesIO(archive.read(WEIGHTS))
        with h5py.File(weights) as file:
            return canonical(groups(path, file, config["config"].get("layers", [])))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a Keras archive, or damaged: {error}") from error


def groups(path: str | os.PathLike, file: Any, layers: list[Any]) -> dict[str, list[Any]]:
    """Returns layer name -> its arrays, from either layout."""
    top = file.get("model_weights", file)
    if attribute(top, "layer_names"):
        return {
            layer: [array(top[layer][name]) for name in attribute(top[layer], "weight_names")]
            for layer in attribute(top, "layer_names")
        }
    if "layers" not in file:
        raise InputError(f"{path}: an HDF5 file, but not one of Keras (no layers in it)")
    names = names_by_group(layers)
    found = {}
    for group in file["layers"]:
        variables = file["layers"][group].get("vars", {})
        if len(variables):
            name = variables.attrs.get("name", names.get(group, group))
            found[name] = [array(variables[str(i)]) for i in range(len(variables))]
    return found


def attribute(group: Any, name: str) -> list[str]:
    """Returns a list of strings; Keras cuts what is too long for one attribute into name0, ..."""
    parts = [name] if name in group.attrs else []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(f"{name}{len(parts)}")
    words = [word for part in parts for word in group.attrs[part]]
    return [word.decode() if isinstance(word, bytes) else str(word) for word in words]


def array(dataset: Any) -> np.ndarray:
    values = np.asarray(dataset)
    return values.view(ml_dtypes.bfloat16) if dataset.attrs.get("dtype") == "bfloat16" else values


def names_by_group(layers: list[Any]) -> dict[str, str]:
    """Returns the group that a config's layers are stored under -> their names.

    A group is the class in snake case and, from the second one of a class, its number.
    """
    counts: dict[str, int] = {}
    names = {}
    for layer in layers:
        kind = snake_case(layer["class_name"])
        count = counts[kind] = counts.get(kind, -1) + 1
        names[f"{kind}_{count}" if count else kind] = layer["config"]["name"]
    return names


def snake_case(name: str) -> str:
    """Returns "max_pooling2d" for "MaxPooling2D": a word begins where lower case ends or begins."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\w)(?=[A-Z][a-z])", "_", name).lower()


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
