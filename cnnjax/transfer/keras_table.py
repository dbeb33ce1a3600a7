"""Which of Keras' classes and operations are known."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from cnnjax.registry import Table
from cnnjax.transfer import graph_layers as compute
from cnnjax.transfer import keras_layers as of
from cnnjax.transfer.graph import Layer, Unit
from cnnjax.transfer.keras_options import LAYERS as ACTIVATION_LAYERS
from cnnjax.transfer.keras_options import Options

# Training sees images changed by these, evaluation does not; `cnnjax.augment` is there for it.
AUGMENTATIONS = (
    "RandomBrightness", "RandomColorJitter", "RandomContrast", "RandomCrop", "RandomErasing",
    "RandomFlip", "RandomGrayscale", "RandomHeight", "RandomHue", "RandomRotation",
    "RandomSaturation", "RandomSharpness", "RandomTranslation", "RandomWidth", "RandomZoom",
)  # fmt: skip
# Whatever runs code, or reads other files, by design.
CODE = {
    "Lambda": "holds code of its author",
    "TFSMLayer": "reads a SavedModel from another path",
    "TorchModuleWrapper": "holds a pickle, which can run anything",
    "JaxLayer": "holds code of its author",
    "FlaxLayer": "holds code of its author",
    "TFOpLambda": "calls a function of TensorFlow by its name",
    "SlicingOpLambda": "calls a function of TensorFlow by its name",
}


def merged(operation: Callable[..., Any]) -> Callable[[Options], Layer]:
    return lambda c: of.layer(merge, operation=operation)


def merge(unit: Unit, *xs: Any, train: bool, operation: Callable[..., Any]) -> Any:
    return functools.reduce(operation, xs)


def mean(unit: Unit, *xs: Any, train: bool) -> Any:
    return sum(xs[1:], xs[0]) / len(xs)


def concatenate(unit: Unit, *xs: Any, train: bool, axis: int) -> Any:
    return jnp.concatenate(xs, axis)


def by_dimension(name: str, build: Callable[..., Layer], *rest: Any, among: Any = (1, 2, 3)) -> Any:
    """Returns the classes name1D, name2D and name3D."""
    return {f"{name}{n}D": lambda c, n=n: build(c, n, *rest) for n in among}


def by_dimensions(name: str, build: Callable[..., Layer], *rest: Any) -> Any:
    """The same, of layers that do not ask for the number of dimensions."""
    return {f"{name}{n}D": lambda c: build(c, *rest) for n in (1, 2, 3)}


LAYERS: Table[Callable[[Options], Layer]] = Table(
    "Keras layer",
    by_dimension("Conv", of.conv),
    {f"Conv{n}DTranspose": lambda c, n=n: of.transposed(c, n) for n in (1, 2, 3)},
    by_dimension("DepthwiseConv", of.depthwise, among=(1, 2)),
    by_dimension("SeparableConv", of.separable, among=(1, 2)),
    by_dimension("MaxPooling", of.pool, "max"),
    by_dimension("AveragePooling", of.pool, "average"),
    by_dimensions("GlobalMaxPooling", of.global_pool, "max"),
    by_dimensions("GlobalAveragePooling", of.global_pool, "average"),
    by_dimension("ZeroPadding", of.border, "padding", compute.padding),
    by_dimension("Cropping", of.border, "cropping", compute.cropping),
    by_dimension("UpSampling", of.upsampling),
    by_dimensions("SpatialDropout", of.channel_dropout),
    dict.fromkeys(ACTIVATION_LAYERS, of.activation),
    ActivityRegularization=of.identity,
    Add=merged(jnp.add),
    AlphaDropout=lambda c: of.noise(c, "alpha", "rate"),
    Average=lambda c: of.layer(mean),
    BatchNormalization=of.batch_norm,
    Concatenate=lambda c: of.layer(concatenate, axis=c.axes("axis")[0]),
    Dense=of.dense,
    Dropout=of.dropout,
    Flatten=of.flatten,
    GaussianDropout=lambda c: of.noise(c, "factor", "rate"),
    GaussianNoise=lambda c: of.noise(c, "gaussian", "stddev"),
    GroupNormalization=of.group_norm,
    Identity=of.identity,
    LayerNormalization=of.layer_norm,
    Maximum=merged(jnp.maximum),
    Minimum=merged(jnp.minimum),
    Multiply=merged(jnp.multiply),
    Normalization=of.standardisation,
    PReLU=of.parametric_relu,
    Permute=of.permute,
    RepeatVector=of.repeat,
    Rescaling=of.rescaling,
    Reshape=of.reshape,
    Resizing=of.resizing,
    Subtract=merged(jnp.subtract),
    UnitNormalization=of.unit_norm,
)

# keras.ops between the layers of a functional model; arguments by position.
OPERATIONS: Table[Callable[..., Any]] = Table(
    "Keras operation",
    Abs=jnp.abs,
    Absolute=jnp.abs,
    Add=jnp.add,
    Divide=jnp.divide,
    Exp=jnp.exp,
    Log=jnp.log,
    Maximum=jnp.maximum,
    Minimum=jnp.minimum,
    Multiply=jnp.multiply,
    Negative=jnp.negative,
    Power=jnp.power,
    Sqrt=jnp.sqrt,
    Square=jnp.square,
    Subtract=jnp.subtract,
    Tanh=jnp.tanh,
    TrueDivide=jnp.divide,
)


def operation(unit: Unit, *xs: Any, train: bool, function: Callable[..., Any]) -> Any:
    return function(*xs)
