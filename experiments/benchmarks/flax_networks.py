"""The networks in Flax' own layers, as somebody writes them who uses Flax alone."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


class LeNet(nn.Module):
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for features, padding in ((6, "SAME"), (16, "VALID")):
            x = nn.relu(nn.Conv(features, (5, 5), padding=padding, dtype=self.dtype)(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        for units in (120, 84):
            x = nn.relu(nn.Dense(units, dtype=self.dtype)(x))
        return nn.Dense(10)(x)


class FirstConvnet(nn.Module):
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        conv = partial(nn.Conv, kernel_size=(3, 3), padding="VALID", dtype=self.dtype)
        x = nn.max_pool(nn.relu(conv(32)(x)), (2, 2), (2, 2))
        x = nn.max_pool(nn.relu(conv(64)(x)), (2, 2), (2, 2))
        x = nn.relu(conv(64)(x)).reshape(len(x), -1)
        return nn.Dense(10)(nn.relu(nn.Dense(64, dtype=self.dtype)(x)))


class MnistCnn(nn.Module):
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        conv = partial(nn.Conv, kernel_size=(3, 3), padding="VALID", dtype=self.dtype)
        x = nn.relu(conv(64)(nn.relu(conv(32)(x))))
        x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.Dropout(0.25, deterministic=not train)(x).reshape(len(x), -1)
        x = nn.relu(nn.Dense(128, dtype=self.dtype)(x))
        return nn.Dense(10)(nn.Dropout(0.5, deterministic=not train)(x))


class ResNet20(nn.Module):
    """He et al. 2015, section 4.2: option A pads the shortcut with channels of zeros."""

    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        def unit(x: jax.Array, features: int, stride: int = 1) -> jax.Array:
            x = nn.Conv(
                features, (3, 3), stride, padding=1, use_bias=False, dtype=self.dtype
            )(x)  # fmt: skip
            return nn.BatchNorm(use_running_average=not train, momentum=0.9, dtype=self.dtype)(x)

        x = nn.relu(unit(x, 16))
        for features in (16, 32, 64):
            for _ in range(3):
                extra = features - x.shape[-1]
                y = unit(nn.relu(unit(x, features, 2 if extra else 1)), features)
                if extra:
                    width = (extra // 2, extra // 2)
                    x = jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), width))
                x = nn.relu(x + y)
        return nn.Dense(10)(x.mean((1, 2)))


class ResNet50(nn.Module):
    """He et al. 2015, table 1, with the stride of a bottleneck on its 3x3."""

    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        def unit(x: jax.Array, features: int, kernel: int, stride: int = 1) -> jax.Array:
            x = nn.Conv(
                features, (kernel, kernel), stride, padding=kernel // 2, use_bias=False,
                dtype=self.dtype,
            )(x)  # fmt: skip
            return nn.BatchNorm(use_running_average=not train, momentum=0.9, dtype=self.dtype)(x)

        x = nn.relu(unit(x, 64, 7, 2))
        x = nn.max_pool(x, (3, 3), (2, 2), "SAME")
        for stage, count in enumerate((3, 4, 6, 3)):
            inner = 64 * 2**stage
            for block in range(count):
                stride = 2 if stage and not block else 1
                y = nn.relu(unit(nn.relu(unit(x, inner, 1)), inner, 3, stride))
                y = unit(y, 4 * inner, 1)
                if x.shape != y.shape:
                    x = unit(x, 4 * inner, 1, stride)
                x = nn.relu(x + y)
        return nn.Dense(1000)(x.mean((1, 2)))


NETWORKS = {
    "lenet5": LeNet,
    "first_convnet": FirstConvnet,
    "mnist_cnn": MnistCnn,
    "resnet20": ResNet20,
    "resnet50": ResNet50,
}
