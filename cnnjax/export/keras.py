"""`.weights.h5` of Keras: by Keras itself for keras.applications, else written as it writes.

A file of Keras stores layers by class and number, in the order of its own graph, which our networks
do not have: Keras is needed for its own networks. Stacks of layers have one order.
"""

from __future__ import annotations

import collections
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cnnjax.errors import InputError
from cnnjax.evaluation.trained import Trained
from cnnjax.export import namesakes, tensors
from cnnjax.transfer import keras as theirs

INSTEAD = "--format=safetensors holds any network, stablehlo its program"
ENDING = ".weights.h5"


def weights(network: Trained, path: Path) -> list[str]:
    """Writes the weights that the network's namesake in Keras loads."""
    if not path.name.endswith(ENDING):
        raise InputError(
            f"Keras loads weights from files that end with {ENDING}; given {path.name}"
        )
    rule = namesakes.rule_of(network, "keras", INSTEAD)
    _, names = namesakes.sources(network, rule)
    arrays = tensors.leaves(network)
    found = {name: arrays[leaf] for leaf, name in names.items()}
    name = network.network["name"]
    if name in namesakes.KERAS:
        model = by_keras(network, found, path)
        called = f"keras.applications.{model}(weights=None, classes={len(network.class_names)})"
    else:
        stacked(found, path)
        called = f"a Sequential model of the layers of {name}"
    return [
        f"{called}.load_weights({path.name!r}); it takes {tensors.spoken(network.preprocessing)}",
        f"classes in their order: {tensors.listed(network.class_names)}",
    ]


def by_keras(network: Trained, found: dict[str, np.ndarray], path: Path) -> str:
    """Fills the network of keras.applications, and has it written; returns its class."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    try:
        import keras
    except ImportError:
        raise InputError(
            "Keras itself writes the weights of its own networks, and is not installed: "
            f"`pip install keras`. Without it, {INSTEAD}"
        ) from None
    name, module = namesakes.KERAS[network.network["name"]], network.module
    options = {"alpha": float(module.width)} if name.startswith("MobileNet") else {}  # pyright: ignore
    try:
        model: Any = getattr(keras.applications, name)(
            weights=None, classes=len(network.class_names), input_shape=network.shape, **options
        )
    except ValueError as error:
        raise InputError(f"Keras makes no {name} of this: {error}") from None
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    places: Any = {name: [(name, i) for i in range(len(x.weights))] for name, x in layers.items()}
    slots: Any = theirs.canonical(places)
    if missing := sorted(slots.keys() ^ found.keys()):
        raise InputError(f"this version of Keras has other layers in {name}: {', '.join(missing)}")
    for slot, (layer, i) in slots.items():
        variable = layers[layer].weights[i]
        variable.assign(found[slot].reshape(variable.shape))
    model.save_weights(path)
    return name


def stacked(found: dict[str, np.ndarray], path: Path) -> None:
    """Writes a stack of layers: a group per layer, by class and number in their order."""
    layers: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    for slot, array in found.items():
        layers[slot.rpartition("/")[0]].append(array)
    with h5py.File(path, "w") as file:
        for layer, arrays in layers.items():
            kind, _, number = layer.partition(":")
            group = f"{kind}_{number}" if int(number) else kind
            variables = file.create_group(f"layers/{group}/vars")
            variables.attrs["name"] = group
            for i, array in enumerate(arrays):
                variables[str(i)] = array
