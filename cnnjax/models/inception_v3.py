"""Inception-v3 (Szegedy et al. 2015, "Rethinking the Inception architecture", arXiv 1512.00567).

Table 1 and figures 5 to 7 and 10, with the features of the authors' release, which every framework
has and the paper does not print. Images are 299x299.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.layers import (
    GLOBAL_POOLS,
    NORMS,
    POOLS,
    ConvBN,
    Dense,
    Dropout,
    average_pool,
    global_average_pool,
)
from cnnjax.layers.compose import Box, Branches, Chain, Concat
from cnnjax.registry import Table


class InceptionV3(nn.Module):
    """A stem and three stages of Inception modules, on 35x35, 17x17 and 8x8 maps.

    Attributes:
      auxiliary: whether a classifier on the last 17x17 maps `sow`s its logits, as `aux/logits` in
        the collection `auxiliary`.
      count_padding: whether the average poolings of the modules count the padding.
      norm_scale: whether batch normalisations have a scale; a ReLU network can do without.
    """

    classes: int = 1000
    auxiliary: bool = False
    count_padding: bool = False
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
        average = partial(
            average_pool, window=3, stride=1, padding="same", count_padding=self.count_padding
        )
        stem = [(32, 3, 2, "valid"), (32, 3, 1, "valid"), (64, 3), shrink]
        stem += [(80, 1), (192, 3, 1, "valid"), shrink]
        x = Chain(unit, name="stem")(x, stem)
        stages = (
            (figure5(32, average), figure5(64, average), figure5(64, average)),
            (reduce35(shrink), *(figure6(c, average) for c in (128, 160, 160, 192))),
            (reduce17(shrink), figure7(average), figure7(average)),
        )
        for s, stage in enumerate(stages, 1):
            for b, branches in enumerate(stage, 1):
                x = Concat(unit, name=f"stage{s}_block{b}")(x, branches)
            if self.auxiliary and s == 2:
                AuxiliaryHead(self.classes, unit, self.dtype, name="aux")(x)
        x = Dropout(self.dropout_rate, train, self.axis_name)(GLOBAL_POOLS[self.global_pool](x))
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def figure5(proj: int, pool: Box) -> Branches:
    """35x35: two 3x3 in place of a 5x5 (the released network keeps one 5x5)."""
    return {
        "1x1": [(64, 1)],
        "5x5": [(48, 1), (64, 5)],
        "3x3dbl": [(64, 1), (96, 3), (96, 3)],
        "_pool": [pool, (proj, 1)],
    }


def figure6(c: int, pool: Box) -> Branches:
    """17x17: 1x7 and 7x1 in place of 7x7."""
    row, column = (1, 7), (7, 1)
    return {
        "1x1": [(192, 1)],
        "7x7": [(c, 1), (c, row), (192, column)],
        "7x7dbl": [(c, 1), (c, column), (c, row), (c, column), (192, row)],
        "_pool": [pool, (192, 1)],
    }


def figure7(pool: Box) -> Branches:
    """8x8: the filter bank is widened instead of deepened."""
    split = [(384, (1, 3)), (384, (3, 1))]
    return {
        "1x1": [(320, 1)],
        "3x3": [(384, 1), split],
        "3x3dbl": [(448, 1), (384, 3), split],
        "_pool": [pool, (192, 1)],
    }


def reduce35(pool: Box) -> Branches:
    """35x35 to 17x17 (figure 10)."""
    return {
        "3x3": [(384, 3, 2, "valid")],
        "3x3dbl": [(64, 1), (96, 3), (96, 3, 2, "valid")],
        "_pool": [pool],
    }


def reduce17(pool: Box) -> Branches:
    """17x17 to 8x8."""
    return {
        "3x3": [(192, 1), (320, 3, 2, "valid")],
        "7x7x3": [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, "valid")],
        "_pool": [pool],
    }


class AuxiliaryHead(nn.Module):
    """The classifier on the last 17x17 maps (section 4, figure 8)."""

    classes: int
    unit: Any
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> None:
        x = average_pool(x, 5, 3)
        x = self.unit(128, 1, name="conv1")(x)
        x = global_average_pool(self.unit(768, 5, 1, "valid", name="conv2")(x))
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        if not self.is_initializing():  # which keeps all that is sown among the variables
            self.sow("auxiliary", "logits", x.astype(jnp.promote_types(x.dtype, jnp.float32)))


TIMM = {"count_padding": True, "norm_scale": True, "momentum": 0.9}
TORCH = TIMM | {"dropout_rate": 0.5}
DIALECTS = {"keras": {}, "torch": TORCH, "timm": TIMM}
MODELS = Table("network", inception_v3=InceptionV3)
