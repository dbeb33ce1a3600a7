"""Whether a named network computes what the config in a file of Keras says."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax import errors

from cnnjax import compiler
from cnnjax.errors import InputError
from cnnjax.transfer import classifier, graph_layers, hdf5, keras_model
from cnnjax.transfer.activations import Activation
from cnnjax.transfer.graph import Graph, Layer, Plan

log = logging.getLogger(__name__)

# Relative distance of logits; the smallest mistake that is worth a name is far above.
TOLERANCE = 1e-3
# Fields of networks, and where a layer of a plan says the like.
FIELDS = {"act": "act", "pool": "kind", "padding": "padding"}


def check(
    name: str,
    path: str | os.PathLike,
    network: nn.Module,
    variables: Any,
    input_shape: tuple[int, ...],
) -> None:
    """Compares the logits of a network with those of the file's own, for an image of noise.

    A file without a config, or with layers that are not known, is not compared; the latter is said.

    Raises InputError where they differ, with what differs and the fields that would cure it.
    """
    contents = hdf5.read(path)
    if contents.config is None and "model_config" not in contents.attributes.get("", {}):
        return
    try:
        module, own, _ = keras_model.load(path)
    except InputError as error:
        log.warning("%s: not compared with its own config: %s", path, error)
        return
    module = Graph(classifier.with_logits(module.plan))
    shape = own_shape(module.plan, input_shape)
    image = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    theirs = result(module, own, like(image, module.plan))
    if agree(theirs, result(network, variables, image)):
        return
    cures = [
        changed
        for changed, other in others(network, module.plan)
        if agree(theirs, result(other, variables, image))
    ]
    fields = list(cures[0]) if cures else list(FIELDS)
    said = "; ".join(differences(network, module.plan, fields))
    said = said or "its layers, or their order, differ"
    cure = f"load({name!r}, {os.fspath(path)!r}, {written(cures[0])}) or " if cures else ""
    raise InputError(
        f"{path} holds the weights of {name}, but its config is of another function: {said}. "
        f"Use {cure}load({os.fspath(path)!r})"
    )


def own_shape(plan: Plan, given: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the (height, width, channels) that a plan was made for, else those given.

    Keras writes the padding of MobileNetV2 and NASNet down for images of one size; at another, the
    two would pad differently and both be right.
    """
    own, channels = plan.shapes[0] if plan.shapes else (), given[-1]
    sizes = [n for n in own if n is not None]
    if len(own) != 3 or len(sizes) != 3:
        return given
    first = sizes[0] == channels != sizes[-1]
    return (*(sizes[1:] if first else sizes[:2]), channels)


def like(image: np.ndarray, plan: Plan) -> np.ndarray:
    """Returns the image as the plan takes it: channels first, or flat, too."""
    shape = plan.shapes[0]
    if len(shape) == 3 and shape[0] == image.shape[-1] != shape[-1]:
        return np.moveaxis(image, -1, 1)
    return image.reshape(1, -1) if len(shape) == 1 else image


def result(network: nn.Module, variables: Any, image: np.ndarray) -> np.ndarray | None:
    """Returns the logits; None where the network does not take the image or the variables."""

    def logits(variables: Any, image: Any) -> Any:
        return network.apply(variables, image, train=False)

    try:
        return np.asarray(compiler.jit(logits)(variables, jnp.asarray(image)))
    except (TypeError, ValueError, IndexError, LookupError, errors.FlaxError):
        return None


def agree(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None or a.shape != b.shape:
        return False
    return bool(np.linalg.norm(a - b) <= TOLERANCE * max(float(np.linalg.norm(a)), 1e-6))


def said_by(plan: Plan, field: str) -> list[Any]:
    """Returns what the layers of a plan say of a field of networks, in their order."""
    found = []
    for call in plan.calls:
        if isinstance(call.layer, Plan):
            found += said_by(call.layer, field)
        elif call.layer is not None and (field != "padding" or convolves(call.layer)):
            value = dict(call.layer.fields).get(FIELDS[field])
            value = value.name if isinstance(value, Activation) else value
            if isinstance(value, str) and value != "linear":
                found.append(value)
    return list(dict.fromkeys(found))


def convolves(layer: Layer) -> bool:
    return layer.function is graph_layers.convolution


def differences(network: nn.Module, plan: Plan, fields: list[str]) -> Iterator[str]:
    for field in fields:
        ours = getattr(network, field, None)
        if field not in FIELDS:
            yield f"{field} is {ours!r} here, not there"
            continue
        theirs = said_by(plan, field)
        if isinstance(ours, str) and theirs and [ours] != theirs:
            yield f"{field} is {ours!r} here, there {' and '.join(map(repr, theirs))}"


def others(network: nn.Module, plan: Plan) -> Iterator[tuple[dict[str, Any], nn.Module]]:
    """Yields the network with what the plan says of its fields, the fewest changes first."""
    choices: dict[str, list[Any]] = {}
    for field in FIELDS:
        if isinstance(getattr(network, field, None), str):
            choices[field] = [getattr(network, field), *said_by(plan, field)]
    if isinstance(getattr(network, "pool_last", None), bool):
        choices["pool_last"] = [False, True]
    tried = []
    for values in itertools.product(*choices.values()):
        given = dict(zip(choices, values, strict=True))
        changed = {f: v for f, v in given.items() if v != getattr(network, f)}
        if changed and changed not in tried:
            tried.append(changed)
    for changed in sorted(tried, key=len)[:16]:
        yield changed, network.clone(**changed)


def written(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in fields.items())
