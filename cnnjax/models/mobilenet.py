"""MobileNet (Howard et al. 2017, arXiv 1704.04861, table 1)."""

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
    """A depthwise 3x3 and a pointwise convolution, each normalised and activated (figure 3)."""

    features: int
    stride: int
    symmetric: bool
    unit: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        padding = 1 if self.symmetric or self.stride == 1 else ((0, 1), (0, 1))
        x = self.unit(channels, 3, self.stride, padding=padding, groups=channels, name="depthwise")(
            x
        )
        return self.unit(self.features, 1, name="pointwise")(x)


class MobileNet(nn.Module):
    """A strided 3x3, thirteen blocks, global pool, dropout, head: 224 -> 112, 56, 28, 14, 7 pixels.

    Attributes:
      rows: c, n, s: n blocks of c features, the first of which has stride s.
      stem_stride: 1 for images of 32 pixels.
      width: the paper's alpha, a factor on all features.
      dropout_rate: before the head, in [0, 1].
      symmetric: whether strided convolutions pad a pixel on every side. Else the stem pads as
        "same" does, and the others on the far sides only, also where the size is odd (Keras).
    """

    classes: int = 1000
    rows: tuple[tuple[int, int, int], ...] = (
        (64, 1, 1),
        (128, 2, 2),
        (256, 2, 2),
        (512, 6, 2),
        (1024, 2, 2),
    )
    stem_stride: int = 2
    width: float = 1.0
    dropout_rate: float = 1e-3
    symmetric: bool = False
    epsilon: float = 1e-3
    momentum: float = 0.99
    act: str = "relu6"
    norm: str = "batch"
    global_pool: str = "average"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        norm = NORMS[self.norm](train, self.axis_name, epsilon=self.epsilon, momentum=self.momentum)
        unit = partial(ConvBN, norm=norm, act=self.act, dtype=self.dtype)
        padding = 1 if self.symmetric else "same"
        x = unit(int(32 * self.width), 3, self.stem_stride, padding=padding, name="stem")(x)
        for i, (c, n, s) in enumerate(self.rows, 1):
            for j in range(1, n + 1):
                x = Block(
                    int(c * self.width),
                    stride=s if j == 1 else 1,
                    symmetric=self.symmetric,
                    unit=unit,
                    name=f"stage{i}_block{j}",
                )(x)
        x = GLOBAL_POOLS[self.global_pool](x)
        x = Dropout(self.dropout_rate, train=train, axis_name=self.axis_name)(x)
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


MODELS = Table("network", mobilenet_v1=MobileNet)
TIMM = {"dropout_rate": 0.0, "symmetric": True, "epsilon": 1e-5, "momentum": 0.9}
DIALECTS = {"keras": {}, "timm": TIMM}
