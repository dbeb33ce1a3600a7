"""Networks of Keras, with weights drawn here; the backend is JAX."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.oracles import draw

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras

from tests.oracles.keras_written import NETWORKS


def build(source: str, name: str, side: int) -> Any:
    """Returns the network for images of `side` pixels; its outputs are logits."""
    del source
    if name in NETWORKS:
        return NETWORKS[name](side)
    constructor = getattr(keras.applications, name)
    return constructor(weights=None, input_shape=(side, side, 3), classifier_activation=None)


def randomise(model: Any, generator: np.random.Generator, gain: float) -> None:
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    for layer in model.layers:
        if layer in norms:
            channels = layer.moving_mean.shape[0]
            layer.set_weights(
                draw.normalisation(generator, channels, layer.epsilon, gain, layer.scale)
            )
        elif layer.weights:
            unscaled = not layer.use_bias and norms and not norms[0].scale
            power = 2 / draw.amplification(norms[0].epsilon) if unscaled else 2
            layer.set_weights([weight(generator, w.path, w.shape, power) for w in layer.weights])


def weight(
    generator: np.random.Generator, path: str, shape: tuple[int, ...], power: float
) -> np.ndarray:
    if len(shape) == 1:
        return draw.bias(generator, shape)
    spatial = len(shape) == 4 and shape[-1] == 1 and shape[-2] > 1  # depthwise, multiplier 1
    return draw.kernel(generator, shape, int(np.prod(shape[:2] if spatial else shape[:-1])), power)


def outputs(
    model: Any, images: np.ndarray, stages: Mapping[str, str], double: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns logits and, under the names of our modules, the outputs of the model's layers."""
    assert not double
    taps = [layer_of(model, name).output for name in stages.values()]
    tapped = keras.Model(model.inputs, [model.outputs[0], *taps])

    @jax.jit
    def run(trainable: Any, rest: Any, x: jax.Array) -> Any:
        return tapped.stateless_call(trainable, rest, x, training=False)[0]

    trainable = [v.value for v in tapped.trainable_variables]
    rest = [v.value for v in tapped.non_trainable_variables]
    logits, *values = jax.tree.leaves(run(trainable, rest, jnp.asarray(images)))
    return np.asarray(logits), dict(zip(stages, map(np.asarray, values), strict=True))


def layer_of(model: Any, name: str) -> Any:
    """Returns the layer `name`, or for "Class:2" the third of that class."""
    kind, _, number = name.partition(":")
    if not number:
        return model.get_layer(name)
    return [layer for layer in model.layers if type(layer).__name__ == kind][int(number)]


def write(model: Any, folder: Path, side: int) -> Path:
    """Writes the weights: alone where the side is even, with the model where it is odd."""
    if side % 2:
        model.save(path := folder / "oracle.keras")
    else:
        model.save_weights(path := folder / "oracle.weights.h5")
    return path
