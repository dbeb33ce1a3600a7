"""The networks in Keras' layers, as somebody writes them who uses Keras."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def conv(features: int, kernel: int = 3, padding: str = "valid") -> Any:
    return layers.Conv2D(features, kernel, activation="relu", padding=padding)


def dense(units: int) -> Any:
    return layers.Dense(units, activation="relu")


def pool() -> Any:
    return layers.MaxPooling2D(2)


def stacked(shape: tuple[int, ...], *of: Any) -> Any:
    """Returns `of` with a classifier of ten classes in float32."""
    return keras.Sequential([keras.Input(shape), *of, layers.Dense(10, dtype="float32")])


def lenet5(shape: tuple[int, ...]) -> Any:
    first, second = conv(6, 5, "same"), conv(16, 5)
    return stacked(shape, first, pool(), second, pool(), layers.Flatten(), dense(120), dense(84))


def first_convnet(shape: tuple[int, ...]) -> Any:
    return stacked(
        shape, conv(32), pool(), conv(64), pool(), conv(64), layers.Flatten(), dense(64)
    )  # fmt: skip


def mnist_cnn(shape: tuple[int, ...]) -> Any:
    hidden = (layers.Dropout(0.25), layers.Flatten(), dense(128), layers.Dropout(0.5))
    return stacked(shape, conv(32), conv(64), pool(), *hidden)


def unit(x: Any, features: int, kernel: int, stride: int = 1, act: bool = True) -> Any:
    """A convolution, its normalisation and a ReLU."""
    x = layers.Conv2D(features, kernel, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if act else x


def basic(x: Any, features: int) -> Any:
    """He et al. 2015, section 4.2: option A pads the shortcut with channels of zeros."""
    extra = features - x.shape[-1]
    y = unit(x, features, 3, 2 if extra else 1)
    y = unit(y, features, 3, act=False)
    if extra:
        x = keras.ops.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (extra // 2, extra // 2)))
    return layers.ReLU()(layers.add([x, y]))


def bottleneck(x: Any, inner: int, stride: int) -> Any:
    """He et al. 2015, figure 5, right, with the stride on the 3x3."""
    y = unit(unit(x, inner, 1), inner, 3, stride)
    y = unit(y, 4 * inner, 1, act=False)
    if stride > 1 or x.shape[-1] != 4 * inner:
        x = unit(x, 4 * inner, 1, stride, act=False)
    return layers.ReLU()(layers.add([x, y]))


def resnet20(shape: tuple[int, ...]) -> Any:
    images = keras.Input(shape)
    x = unit(images, 16, 3)
    for features in (16, 32, 64):
        for _ in range(3):
            x = basic(x, features)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(10, dtype="float32")(x))


def resnet50(shape: tuple[int, ...]) -> Any:
    """keras.applications.ResNet50 has other strides and biases, and so other work to do."""
    images = keras.Input(shape)
    x = layers.MaxPooling2D(3, 2, padding="same")(unit(images, 64, 7, 2))
    for stage, count in enumerate((3, 4, 6, 3)):
        for block in range(count):
            x = bottleneck(x, 64 * 2**stage, 2 if stage and not block else 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(1000, dtype="float32")(x))


NETWORKS = {
    f.__name__: f for f in (lenet5, first_convnet, mnist_cnn, resnet20, resnet50)
}  # fmt: skip
