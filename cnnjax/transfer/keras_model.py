"""A file of Keras that describes its network: the module and its variables, by what it says."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax import tree
from cnnjax.errors import InputError
from cnnjax.transfer import hdf5, keras_config, keras_weights
from cnnjax.transfer.graph import Graph

log = logging.getLogger(__name__)

# Sides to try where a network takes images of any size.
SIDES = (64, 224, 299, 331, 32, 28, 1)
# How people call the config that lies beside weights; {} is the name of the weights' file.
BESIDE = ("{}.json", "{}_config.json", "{}.config.json", "{}_architecture.json", "{}_model.json")
ANY = ("config.json", "model.json", "model_config.json", "architecture.json",
       "model_architecture.json")  # fmt: skip
ENDINGS = (".weights.h5", "_weights.h5", "-weights.h5", ".h5", ".hdf5", ".keras")
LARGEST = 64 << 20


def load(
    path: str | os.PathLike, input_shape: Sequence[int] | None = None
) -> tuple[Graph, dict[str, Any], dict[str, str]]:
    """Returns the network that the file describes, its variables, float32, and what describes it.

    The network takes what the file's own takes (channels first, too, and pixels scaled as its users
    did) and returns the same: probabilities where it ends with a softmax (`module.probabilities`).
    The config of weights alone is looked for beside them, under the names in `BESIDE` and `ANY`.

    Raises InputError for a file without a config, for layers that are not known, and for whatever
    would run code of the file's author.

    Args:
      input_shape: of one input without the batch, where the file does not say it.
    """
    contents = hdf5.read(path)
    text, version, where = config_of(path, contents)
    network = {"keras": text, "keras_version": version}
    module = built(network, where)
    leaves = keras_weights.variables(module.plan, contents)
    shapes = shapes_of(module, input_shape, path)
    found = {leaf: array.shape for leaf, array in leaves.items()}
    if difference := tree.difference(shapes, found):
        raise InputError(f"{path}: the arrays do not fit the config of the file:\n{difference}")
    variables = tree.unflatten({leaf: jnp.asarray(leaves[leaf]) for leaf in shapes})
    return module, variables, network


def built(network: Mapping[str, Any], where: str) -> Graph:
    """Returns the module of a config: {"keras": its text, "keras_version": of the file}."""
    config = keras_config.parsed(network["keras"], where)
    return Graph(keras_config.plan(config, str(network.get("keras_version", ""))))


def config_of(path: str | os.PathLike, contents: hdf5.Contents) -> tuple[str, str, str]:
    """Returns the text of the config, the version of Keras, and where the config lies."""
    root = contents.attributes.get("", {})
    version = str(root.get("keras_version", ""))
    if contents.config is not None:
        return contents.config, version, str(path)
    if isinstance(text := root.get("model_config"), str):
        return text, version, str(path)
    beside = configs_beside(Path(path))
    if len(beside) == 1:
        log.warning("%s: the network is that of %s", path, beside[0])
        return beside[0].read_text(), version, str(beside[0])
    if beside:
        names = ", ".join(found.name for found in beside)
        raise InputError(f"{path} holds weights alone, and several configs lie beside it: {names}")
    arrays = ", ".join(f"{name} {a.shape}" for name, a in list(contents.arrays.items())[:12])
    more = ", ..." if len(contents.arrays) > 12 else ""
    raise InputError(
        f"{path} holds weights alone, no config that says what they belong to: "
        f"load(NAME, {os.fspath(path)!r}), or lay the model.to_json() beside it; it holds {arrays}"
        f"{more}"
    )


def configs_beside(path: Path) -> list[Path]:
    """Returns the files beside `path` that hold a model's config, those of its own name first."""
    stem = next((path.name.removesuffix(end) for end in ENDINGS if path.name.endswith(end)), "")
    stem = stem or path.stem
    own = [name.format(stem) for name in BESIDE] + [f"{path.name}.json"]
    for names in (own, ANY):
        found = [path.with_name(name) for name in dict.fromkeys(names)]
        found = [file for file in found if is_config(file)]
        if found:
            return found
    return []


def is_config(path: Path) -> bool:
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return False
        record = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(record, Mapping) and {"class_name", "config"} <= record.keys()


def shapes_of(
    module: Graph, input_shape: Sequence[int] | None, path: str | os.PathLike
) -> dict[str, tuple[int, ...]]:
    """Returns leaf -> shape, by tracing the network; nothing is computed or allocated."""
    shapes = (tuple(input_shape),) if input_shape else module.plan.shapes
    if not shapes:
        raise InputError(f"{path} does not say of which shape the inputs are; give input_shape")
    refusal = None
    for side in SIDES:
        images = [jnp.zeros((1, *(n or side for n in shape))) for shape in shapes]
        try:
            return traced(module, images)
        except (ValueError, TypeError, IndexError, ZeroDivisionError) as error:
            refusal = refusal or error
        if not any(None in shape for shape in shapes):
            break
    reason = str(refusal).split(". (http")[0].splitlines()[0]
    raise InputError(f"{path}: the layers of the config do not fit each other: {reason}")


def traced(module: Graph, images: list[Any]) -> dict[str, tuple[int, ...]]:
    given: Any = images[0] if len(images) == 1 else tuple(images)
    found = jax.eval_shape(lambda: module.init(jax.random.key(0), given, train=False))
    return tree.shapes(found)
