"""Inception-ResNet-v2 (Szegedy et al. 2016, arXiv 1602.07261).

The authors' release, which every framework has: the stem of Inception-v3 instead of figure 3, twice
the residual blocks of figure 15, and other features in some branches. Images are 299x299.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.layers import (
    ACTIVATIONS,
    GLOBAL_POOLS,
    NORMS,
    POOLS,
    Conv,
    ConvBN,
    Dense,
    Dropout,
    average_pool,
)
from cnnjax.layers.compose import Box, Branches, Chain, Concat
from cnnjax.registry import Table


class InceptionResNetV2(nn.Module):
    """A stem, and three stages of an Inception module and residual ones, on 35x35, 17x17 and 8x8.

    Attributes:
      blocks: residual blocks per stage; the paper's figure 15 has (5, 10, 5).
      scales: of the residuals, between 0.1 and 0.3 for stable training (section 3.3).
      norm_scale: whether batch normalisations have a scale.
    """

    classes: int = 1000
    blocks: tuple[int, int, int] = (10, 20, 10)
    scales: tuple[float, float, float] = (0.17, 0.1, 0.2)
    norm_scale: bool = False
    dropout_rate: float = 0.0
    epsilon: float = 1e-3
    momentum: float = 0.99
    act: str = "relu"
    norm: str = "batch"
    pool: str = "max"
    global_pool: str = "average"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        norm = NORMS[self.norm](
            train,
            self.axis_name,
            epsilon=self.epsilon,
            momentum=self.momentum,
            use_scale=self.norm_scale,
        )
        unit = partial(ConvBN, norm=norm, act=self.act, dtype=self.dtype)
        shrink = partial(POOLS[self.pool], window=3, stride=2)
        average = partial(average_pool, window=3, stride=1, padding="same")
        stem = [(32, 3, 2, "valid"), (32, 3, 1, "valid"), (64, 3), shrink]
        stem += [(80, 1), (192, 3, 1, "valid"), shrink]
        x = Chain(unit, name="stem")(x, stem)
        first = (module35(average), reduce35(shrink), reduce17(shrink))
        stages = zip(first, RESIDUALS, self.blocks, self.scales, strict=True)
        for s, (branches, residual, blocks, scale) in enumerate(stages, 1):
            x = Concat(unit, name=f"stage{s}_block1")(x, branches)
            for b in range(2, blocks + 2):
                last = (s, b) == (3, blocks + 1)  # its sum is neither scaled nor activated
                block = Residual(
                    unit,
                    1.0 if last else scale,
                    "linear" if last else self.act,
                    self.dtype,
                    name=f"stage{s}_block{b}",
                )
                x = block(x, residual)
        x = GLOBAL_POOLS[self.global_pool](unit(1536, 1, name="last")(x))
        x = Dropout(self.dropout_rate, train, self.axis_name)(x)
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Residual(nn.Module):
    """Adds to the input a scaled Inception module, brought to its channels by `up` (figure 20)."""

    unit: Any
    scale: float
    act: str
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, branches: Branches) -> jax.Array:
        y = Concat(self.unit, name="branches")(x, branches)
        y = Conv(x.shape[-1], 1, dtype=self.dtype, name="up")(y)
        return ACTIVATIONS[self.act](x + self.scale * y)


RESIDUALS: tuple[Branches, ...] = (
    # 35x35, figure 16
    {"1x1": [(32, 1)], "3x3": [(32, 1), (32, 3)], "3x3dbl": [(32, 1), (48, 3), (64, 3)]},
    # 17x17, figure 17
    {"1x1": [(192, 1)], "7x7": [(128, 1), (160, (1, 7)), (192, (7, 1))]},
    # 8x8, figure 19
    {"1x1": [(192, 1)], "3x3": [(192, 1), (224, (1, 3)), (256, (3, 1))]},
)


def module35(pool: Box) -> Branches:
    """35x35: the Inception-v3 module that ends the stem."""
    return {
        "1x1": [(96, 1)],
        "5x5": [(48, 1), (64, 5)],
        "3x3dbl": [(64, 1), (96, 3), (96, 3)],
        "_pool": [pool, (64, 1)],
    }


def reduce35(pool: Box) -> Branches:
    """35x35 to 17x17 (figure 7, with the numbers of table 1)."""
    return {
        "3x3": [(384, 3, 2, "valid")],
        "3x3dbl": [(256, 1), (256, 3), (384, 3, 2, "valid")],
        "_pool": [pool],
    }


def reduce17(pool: Box) -> Branches:
    """17x17 to 8x8 (figure 18)."""
    return {
        "3x3a": [(256, 1), (384, 3, 2, "valid")],
        "3x3b": [(256, 1), (288, 3, 2, "valid")],
        "3x3dbl": [(256, 1), (288, 3), (320, 3, 2, "valid")],
        "_pool": [pool],
    }


TIMM = {"norm_scale": True, "momentum": 0.9}
DIALECTS = {"keras": {}, "timm": TIMM}
MODELS = Table("network", inception_resnet_v2=InceptionResNetV2)
