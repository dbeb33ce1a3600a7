"""Xception (Chollet 2016, arXiv 1610.02357, figure 5). Images are 299x299."""

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
    ConvBN,
    Dense,
    Dropout,
    SeparableConv,
)
from cnnjax.layers.compose import Chain
from cnnjax.registry import Table


class Xception(nn.Module):
    """Entry flow (`stem`, `stage1`), middle flow (`stage2`) and exit flow (`stage3`).

    Attributes:
      entry: features of the blocks that halve the maps.
      middle: (features, blocks) of the middle flow.
      exit: features of the exit flow's block, then of the two convolutions after it.
      symmetric: whether the poolings pad one pixel on every side (PyTorch) instead of the odd one
        after (Keras); they differ for even maps.
    """

    classes: int = 1000
    entry: tuple[int, ...] = (128, 256, 728)
    middle: tuple[int, int] = (728, 8)
    exit: tuple[tuple[int, int], tuple[int, int]] = ((728, 1024), (1536, 2048))
    symmetric: bool = False
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
        norm = NORMS[self.norm](train, self.axis_name, epsilon=self.epsilon, momentum=self.momentum)
        unit = partial(ConvBN, norm=norm, act=self.act, dtype=self.dtype)
        padding = 1 if self.symmetric else "same"
        pool = partial(POOLS[self.pool], window=3, stride=2, padding=padding)
        separable = partial(SeparableBN, norm=norm, dtype=self.dtype)
        block = partial(Block, unit=unit, separable=separable, act=self.act)
        x = Chain(unit, name="stem")(x, [(32, 3, 2, "valid"), (64, 3, 1, "valid")])
        for b, c in enumerate(self.entry, 1):
            x = block((c, c), pool=pool, act_first=b > 1, name=f"stage1_block{b}")(x)
        features, blocks = self.middle
        for b in range(1, blocks + 1):
            x = block((features,) * 3, name=f"stage2_block{b}")(x)
        narrow, wide = self.exit
        x = block(narrow, pool=pool, name="stage3_block1")(x)
        for b, c in enumerate(wide, 2):
            x = separable(c, act=self.act, name=f"stage3_block{b}")(x)
        x = Dropout(self.dropout_rate, train, self.axis_name)(GLOBAL_POOLS[self.global_pool](x))
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Block(nn.Module):
    """Activations and separable convolutions, with a shortcut around them.

    Attributes:
      features: of the convolutions `conv1`, `conv2`, ...
      pool: halves the maps at the end; the shortcut is then a 1x1 convolution of stride 2.
      act_first: whether an activation precedes the first convolution, too.
    """

    features: tuple[int, ...]
    unit: Any
    separable: Any
    act: str
    pool: Any = None
    act_first: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shortcut = x
        for i, c in enumerate(self.features, 1):
            if i > 1 or self.act_first:
                x = ACTIVATIONS[self.act](x)
            x = self.separable(c, name=f"conv{i}")(x)
        if self.pool is not None:
            x = self.pool(x)
            shortcut = self.unit(self.features[-1], 1, 2, act="linear", name="shortcut")(shortcut)
        return x + shortcut


class SeparableBN(nn.Module):
    """A separable 3x3 convolution and a normalisation, named as in `ConvBN`."""

    features: int
    norm: Any
    act: str = "linear"
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = SeparableConv(self.features, use_bias=False, dtype=self.dtype, name="conv")(x)
        if self.norm is not None:
            x = self.norm(name="norm")(x)
        return ACTIVATIONS[self.act](x)


TIMM = {"symmetric": True, "epsilon": 1e-5, "momentum": 0.9}
DIALECTS = {"keras": {}, "timm": TIMM, "paper": {"dropout_rate": 0.5}}
MODELS = Table("network", xception=Xception)
