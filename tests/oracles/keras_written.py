"""Networks that Keras does not ship, written down in its layers."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def dense(*units: int, act: str = "relu") -> list[Any]:
    hidden = [layers.Dense(n, activation=act) for n in units]
    return [layers.Flatten(), *hidden, layers.Dense(10)]


def conv(features: int, kernel: int = 3, act: str = "relu", padding: str = "valid") -> Any:
    return layers.Conv2D(features, kernel, activation=act, padding=padding)


def lenet5(side: int) -> Any:
    c1, c3 = conv(6, 5, "tanh", "same"), conv(16, 5, "tanh")
    pools = [layers.AveragePooling2D(2), layers.AveragePooling2D(2)]
    return stacked(side, [c1, pools[0], c3, pools[1], *dense(120, 84, act="tanh")])


def first_convnet(side: int) -> Any:
    """Chollet, "Deep Learning with Python", listings 5.1 and 5.2."""
    pools = [layers.MaxPooling2D(2), layers.MaxPooling2D(2)]
    return stacked(side, [conv(32), pools[0], conv(64), pools[1], conv(64), *dense(64)])


def mnist_cnn(side: int) -> Any:
    drops = [layers.Dropout(0.25), layers.Dropout(0.5)]
    flat, hidden, head = dense(128)
    return stacked(
        side,
        [conv(32), conv(64), layers.MaxPooling2D(2), drops[0], flat, hidden, drops[1], head],
    )


def one_block_cnn(side: int) -> Any:
    return stacked(side, [conv(32), layers.MaxPooling2D(2), *dense(128)])


def stacked(side: int, of: list[Any]) -> Any:
    return keras.Sequential([keras.Input((side, side, 1)), *of])


def resnet20(side: int) -> Any:
    """The "cifar10_resnet" example, version 1: biased convolutions, unnormalised projections."""

    def normalised(x: Any, features: int, stride: int = 1, act: str = "relu") -> Any:
        x = layers.Conv2D(features, 3, stride, padding="same")(x)
        x = layers.BatchNormalization()(x)
        return layers.Activation(act)(x)

    images = keras.Input((side, side, 3))
    x = normalised(images, 16)
    for stage, features in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            y = normalised(normalised(x, features, stride), features, act="linear")
            if stride > 1:
                x = layers.Conv2D(features, 1, stride, padding="same")(x)
            x = layers.Activation("relu")(layers.add([x, y]))
    return keras.Model(images, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


NETWORKS = {f.__name__: f for f in (lenet5, first_convnet, mnist_cnn, one_block_cnn, resnet20)}
