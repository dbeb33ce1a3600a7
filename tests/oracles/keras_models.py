"""Models of Keras for reading back: every layer that `cnnjax.transfer` knows, at odd settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
from keras import Sequential, layers, ops

Model = Callable[[], Any]


def of(shape: tuple[int, ...], *rest: Any) -> Model:
    """Returns what builds a Sequential model, of functions that build its layers."""
    return lambda: Sequential([keras.Input(shape), *(build() for build in rest)])


def at(kind: Any, *args: Any, **fields: Any) -> Callable[[], Any]:
    return lambda: kind(*args, **fields)


IMAGE, FIRST, LINE, VOLUME = (9, 8, 3), (3, 9, 8), (11, 4), (5, 6, 4, 2)
CF = {"data_format": "channels_first"}
SINGLE = {
    "conv": (IMAGE, at(layers.Conv2D, 5, (3, 2), (2, 1), "same", activation="relu")),
    "conv_dilated": (IMAGE, at(layers.Conv2D, 6, 3, groups=3, dilation_rate=2, use_bias=False)),
    "conv_first": (FIRST, at(layers.Conv2D, 5, 3, 2, "same", activation="tanh", **CF)),
    "conv1": (LINE, at(layers.Conv1D, 5, 3, padding="causal", dilation_rate=2)),
    "conv1_strided": (LINE, at(layers.Conv1D, 5, 4, 3, padding="same")),
    "conv3": (VOLUME, at(layers.Conv3D, 3, (2, 3, 1), padding="same", activation="selu")),
    "depthwise": (IMAGE, at(layers.DepthwiseConv2D, 3, 2, "same", depth_multiplier=2)),
    "depthwise1": (LINE, at(layers.DepthwiseConv1D, 3, depth_multiplier=3, use_bias=False)),
    "depthwise_first": (FIRST, at(layers.DepthwiseConv2D, 3, depth_multiplier=2, **CF)),
    "separable": (IMAGE, at(layers.SeparableConv2D, 4, 3, 2, "same", depth_multiplier=2)),
    "separable1": (LINE, at(layers.SeparableConv1D, 4, 3, dilation_rate=2, activation="elu")),
    "transposed": (IMAGE, at(layers.Conv2DTranspose, 4, 3, 2, "same")),
    "transposed_valid": (IMAGE, at(layers.Conv2DTranspose, 4, (2, 3), (3, 2), activation="relu")),
    "transposed_extra": (IMAGE, at(layers.Conv2DTranspose, 4, 3, 2, "same", output_padding=1)),
    "transposed_dilated": (IMAGE, at(layers.Conv2DTranspose, 4, 3, dilation_rate=2)),
    "transposed1": (LINE, at(layers.Conv1DTranspose, 4, 4, 3, "same", use_bias=False)),
    "transposed3": (VOLUME, at(layers.Conv3DTranspose, 3, 2, 2)),
    "dense": (LINE, at(layers.Dense, 5, activation="softmax")),
    "max": (IMAGE, at(layers.MaxPooling2D, 3, 2, "same")),
    "max_strides": (IMAGE, at(layers.MaxPooling2D, (2, 3))),
    "max_first": (FIRST, at(layers.MaxPooling2D, 2, **CF)),
    "max1": (LINE, at(layers.MaxPooling1D, 3, 2)),
    "max3": (VOLUME, at(layers.MaxPooling3D, 2, padding="same")),
    "average": (IMAGE, at(layers.AveragePooling2D, 3, 2, "same")),
    "average1": (LINE, at(layers.AveragePooling1D, 3, 1, "same")),
    "average_first": (FIRST, at(layers.AveragePooling2D, 3, 1, "same", **CF)),
    "global_average": (IMAGE, at(layers.GlobalAveragePooling2D, keepdims=True)),
    "global_average_first": (FIRST, at(layers.GlobalAveragePooling2D, keepdims=True, **CF)),
    "global_max": (FIRST, at(layers.GlobalMaxPooling2D, **CF)),
    "global_max1": (LINE, at(layers.GlobalMaxPooling1D)),
    "global_average3": (VOLUME, at(layers.GlobalAveragePooling3D)),
    "flatten_first": (FIRST, at(layers.Flatten, **CF)),
    "reshape": (IMAGE, at(layers.Reshape, (4, -1, 9))),
    "permute": (IMAGE, at(layers.Permute, (2, 3, 1))),
    "repeat": ((5,), at(layers.RepeatVector, 3)),
    "rescaling": (IMAGE, at(layers.Rescaling, 1 / 127.5, offset=-1)),
    "rescaling_channels": (IMAGE, at(layers.Rescaling, [0.1, 2.0, 3.0], offset=[1.0, 2.0, 3.0])),
    "batch_norm": (IMAGE, at(layers.BatchNormalization, epsilon=0.01, momentum=0.7)),
    "batch_norm_first": (FIRST, at(layers.BatchNormalization, axis=1, scale=False)),
    "batch_norm_bare": (IMAGE, at(layers.BatchNormalization, center=False, scale=False)),
    "layer_norm": (IMAGE, at(layers.LayerNormalization, axis=[-2, -1], epsilon=0.1)),
    "group_norm": (FIRST, at(layers.GroupNormalization, groups=3, axis=1)),
    "instance_norm": (IMAGE, at(layers.GroupNormalization, groups=-1, scale=False)),
    "unit_norm": (IMAGE, at(layers.UnitNormalization, axis=[1, 3])),
    "normalization": (IMAGE, at(layers.Normalization, axis=-1)),
    "normalization_rows": (IMAGE, at(layers.Normalization, axis=(1, 3))),
    "normalization_fixed": (IMAGE, at(layers.Normalization, mean=0.3, variance=2.0, axis=None)),
    "normalization_inverse": (
        IMAGE, at(layers.Normalization, mean=[1.0, 2.0, 3.0], variance=[1.0, 2.0, 4.0], invert=True)
    ),
    "zeros": (IMAGE, at(layers.ZeroPadding2D, ((1, 0), (2, 3)))),
    "zeros_first": (FIRST, at(layers.ZeroPadding2D, 2, **CF)),
    "zeros1": (LINE, at(layers.ZeroPadding1D, (1, 3))),
    "zeros3": (VOLUME, at(layers.ZeroPadding3D, (1, 0, 2))),
    "cropped": (IMAGE, at(layers.Cropping2D, ((1, 0), (2, 3)))),
    "cropped1": (LINE, at(layers.Cropping1D, (1, 3))),
    "cropped3": (VOLUME, at(layers.Cropping3D, 1)),
    "up": (IMAGE, at(layers.UpSampling2D, (2, 3))),
    "up_bilinear": (FIRST, at(layers.UpSampling2D, (2, 3), interpolation="bilinear", **CF)),
    "up1": (LINE, at(layers.UpSampling1D, 3)),
    "up3": (VOLUME, at(layers.UpSampling3D, (1, 2, 3))),
    "resized": (IMAGE, at(layers.Resizing, 5, 13)),
    "relu": (IMAGE, at(layers.ReLU, max_value=0.7, negative_slope=0.1, threshold=0.2)),
    "relu6": (IMAGE, at(layers.ReLU, 6.0)),
    "leaky": (IMAGE, at(layers.LeakyReLU, 0.15)),
    "leaky_usual": (IMAGE, at(layers.LeakyReLU)),
    "prelu": (IMAGE, at(layers.PReLU, shared_axes=[1, 2])),
    "prelu_whole": (IMAGE, at(layers.PReLU)),
    "elu": (IMAGE, at(layers.ELU, 0.6)),
    "softmax": (IMAGE, at(layers.Softmax, axis=1)),
    "softmax_two": (IMAGE, at(layers.Softmax, axis=(1, 2))),
    "layer_as_act": (IMAGE, lambda: layers.Conv2D(2, 1, activation=layers.LeakyReLU(0.4))),
    "dropout": (IMAGE, at(layers.Dropout, 0.4)),
    "spatial": (IMAGE, at(layers.SpatialDropout2D, 0.4)),
    "gaussian": (IMAGE, at(layers.GaussianNoise, 0.4)),
    "factor": (IMAGE, at(layers.GaussianDropout, 0.4)),
    "alpha": (IMAGE, at(layers.AlphaDropout, 0.4)),
    "penalty": (IMAGE, at(layers.ActivityRegularization, 0.4)),
    "flip": (IMAGE, at(layers.RandomFlip)),
    "half": (IMAGE, at(layers.Identity)),
}  # fmt: skip
ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
    "softmax", "softplus", "softsign", "squareplus", "swish", "tanh", "tanh_shrink",
)  # fmt: skip


def branches() -> Any:
    """Two inputs, a layer called twice, merges of all kinds, names out of order, two outputs."""
    a, b = keras.Input(IMAGE, name="right"), keras.Input(IMAGE, name="left")
    shared = layers.Conv2D(3, 3, padding="same", name="conv_9")
    x, y = shared(b), shared(a)
    z = layers.Conv2D(3, 1, name="conv_10", activation="relu")(layers.subtract([x, y]))
    parts = [layers.add([x, y, z]), layers.multiply([x, z]), layers.average([x, y, z])]
    parts += [layers.maximum([x, y]), layers.minimum([x, y, z]), shared(z)]
    joined = layers.Concatenate(axis=2)(parts)
    return keras.Model([a, b], [joined, layers.Flatten()(z)])


def nested() -> Any:
    """A base in a model in a model, called twice, frozen, with equal names inside and outside."""
    image = keras.Input(IMAGE)
    x = layers.Conv2D(4, 3, name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    base = keras.Model(image, layers.PReLU(name="act")(x), name="base")
    base.trainable = False
    middle = keras.Sequential(
        [keras.Input(IMAGE), base, layers.Conv2D(3, 3, name="conv"), layers.ZeroPadding2D(2)],
        name="middle",
    )
    image = keras.Input(IMAGE)
    x = middle(layers.Conv2D(3, 1, name="conv")(image), training=False)
    x = layers.GlobalAveragePooling2D()(middle(x))
    return keras.Model(image, layers.Dense(10, name="norm")(x))


def operations() -> Any:
    image = keras.Input(IMAGE)
    x = layers.Conv2D(3, 3, padding="same")(image / 255.0 - 0.5)
    x = 2 * x + ops.square(image) - ops.abs(x)
    return keras.Model(image, layers.Flatten()(ops.maximum(x, 0.1)))


def residual() -> Any:
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same")(image)
    for stride in (1, 2):
        y = layers.Conv2D(8, 3, stride, padding="same", use_bias=False)(x)
        y = layers.Activation("relu")(layers.BatchNormalization()(y))
        x = layers.add([y, layers.Conv2D(8, 1, stride)(x)])
    x = layers.Dropout(0.3)(layers.GlobalMaxPooling2D()(x))
    return keras.Model(image, layers.Dense(5, activation="softmax")(x))


NETWORKS: dict[str, Model] = {name: of(*row) for name, row in SINGLE.items()}
NETWORKS |= {f"act_{n}": of(IMAGE, at(layers.Conv2D, 4, 1, activation=n)) for n in ACTIVATIONS}
NETWORKS |= {"branches": branches, "nested": nested, "operations": operations, "residual": residual}


def drawn(model: Any, seed: int = 0) -> Any:
    """Returns the model with weights at random; statistics positive."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        if not str(weight.dtype).startswith("float"):
            continue
        values = generator.normal(0, 0.4, weight.shape)
        weight.assign(np.abs(values) + 0.1 if "variance" in weight.path else values)
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()
    return model


def inputs(model: Any, seed: int = 1) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.normal(0, 1, (3, *x.shape[1:])).astype(np.float32) for x in model.inputs]
