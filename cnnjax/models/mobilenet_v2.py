"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381, table 2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.layers import GLOBAL_POOLS, NORMS, ConvBN, Dense, Dropout
from cnnjax.registry import Table


class Block(nn.Module):
    """Inverted residual: wide inside, thin and linear at both ends (table 1)."""

    expansion: int
    features: int
    stride: int
    padding: Any
    unit: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shortcut, inner = x, self.expansion * x.shape[-1]
        if self.expansion > 1:
            x = self.unit(inner, 1, name="expand")(x)
        x = self.unit(inner, 3, self.stride, padding=self.padding, groups=inner, name="depthwise")(
            x
        )
        same = self.stride == 1 and shortcut.shape[-1] == self.features
        project = self.unit(self.features, 1, act="linear", name="project")
        return project(x, shortcut if same else None)


class MobileNetV2(nn.Module):
    """A strided 3x3, seventeen blocks, 1x1 to 1,280 features, global pool, dropout, head.

    Attributes:
      rows: t, c, n, s: n blocks that widen t-fold inside and give c features; the first has stride
        s.
      width: factor on the features, which it rounds to multiples of 8; the last 1x1 only grows.
      dropout_rate: before the head, in [0, 1].
      symmetric: whether strided convolutions pad a pixel on every side (torchvision). Else they pad
        as "same" does, which is the far sides only where the size is even (Keras).
    """

    classes: int = 1000
    rows: tuple[tuple[int, int, int, int], ...] = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    width: float = 1.0
    dropout_rate: float = 0.0
    symmetric: bool = False
    epsilon: float = 1e-3
    momentum: float = 0.999
    act: str = "relu6"
    norm: str = "batch"
    global_pool: str = "average"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        norm = NORMS[self.norm](train, self.axis_name, epsilon=self.epsilon, momentum=self.momentum)
        padding = 1 if self.symmetric else "same"
        unit = partial(ConvBN, norm=norm, act=self.act, dtype=self.dtype)
        x = unit(eights(32 * self.width), 3, 2, padding=padding, name="stem")(x)
        for i, (t, c, n, s) in enumerate(self.rows, 1):
            for j in range(1, n + 1):
                x = Block(
                    t,
                    eights(c * self.width),
                    stride=s if j == 1 else 1,
                    padding=padding,
                    unit=unit,
                    name=f"stage{i}_block{j}",
                )(x)
        x = unit(eights(1280 * max(self.width, 1.0)), 1, name="last")(x)
        x = GLOBAL_POOLS[self.global_pool](x)
        x = Dropout(self.dropout_rate, train=train, axis_name=self.axis_name)(x)
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def eights(features: float) -> int:
    """Returns the nearest multiple of 8 that keeps at least nine tenths of `features`."""
    rounded = max(8, int(features + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * features else rounded + 8


MODELS = Table("network", mobilenet_v2=MobileNetV2)
TORCH = {"dropout_rate": 0.2, "symmetric": True, "epsilon": 1e-5, "momentum": 0.9}
DIALECTS = {"keras": {}, "torch": TORCH, "timm": TORCH | {"dropout_rate": 0.0}}
