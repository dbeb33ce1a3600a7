"""VGG (Simonyan & Zisserman 2014, arXiv 1409.1556, table 1: columns A, B, D and E)."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.layers import (
    ACTIVATIONS,
    NORMS,
    POOLS,
    Conv,
    ConvBN,
    Dense,
    Dropout,
    global_average_pool,
)
from cnnjax.layers.adaptive import adaptive_average_pool
from cnnjax.registry import Table


class VGG(nn.Module):
    """Five stages of 3x3 convolutions, each pooled, and three dense layers.

    Attributes:
      blocks: convolutions per stage.
      features, units: of the stages, and of the dense layers before the classifier.
      grid: size to which the last maps are pooled adaptively before the dense layers; 0 takes them
        as they are, and the first dense layer fits one input size. Equal at 224, where it is 7.
      sliding: larger maps are seen grid by grid, and what the dense layers make of each is averaged
        (the "dense evaluation" of section 3.2); the first of them is then stored as a convolution.
    """

    classes: int = 1000
    blocks: tuple[int, ...] = (2, 2, 3, 3, 3)
    features: tuple[int, ...] = (64, 128, 256, 512, 512)
    units: tuple[int, ...] = (4096, 4096)
    grid: int = 0
    sliding: bool = False
    dropout_rate: float = 0.5
    epsilon: float = 1e-5
    momentum: float = 0.9
    act: str = "relu"
    norm: str = "none"
    pool: str = "max"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        norm = NORMS[self.norm](train, self.axis_name, epsilon=self.epsilon, momentum=self.momentum)
        conv = partial(ConvBN, norm=norm, act=self.act, use_bias=True, dtype=self.dtype)
        for s, (blocks, features) in enumerate(zip(self.blocks, self.features, strict=True), 1):
            for b in range(1, blocks + 1):
                x = conv(features, name=f"stage{s}_block{b}")(x)
            x = POOLS[self.pool](x, 2)
        if self.grid:
            grid = [max(self.grid, n) if self.sliding else self.grid for n in x.shape[1:-1]]
            x = adaptive_average_pool(x, grid)
        x = x if self.sliding else x.reshape(x.shape[0], -1)
        window = partial(Conv, kernel=self.grid, padding="valid")
        for i, units in enumerate(self.units, 1):
            dense = window if self.sliding and i == 1 else Dense
            x = ACTIVATIONS[self.act](dense(units, dtype=self.dtype, name=f"fc{i}")(x))
            x = Dropout(self.dropout_rate, train, self.axis_name)(x)
        x = global_average_pool(x) if self.sliding else x
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


SIZES = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
MODELS = Table(
    "network",
    {name: partial(VGG, blocks=blocks) for name, blocks in SIZES.items()},
    {f"{name}_bn": partial(VGG, blocks=blocks, norm="batch") for name, blocks in SIZES.items()},
)
TIMM = {"grid": 7, "sliding": True, "dropout_rate": 0.0}
DIALECTS = {"paper": {}, "keras": {"dropout_rate": 0.0}, "torch": {"grid": 7}, "timm": TIMM}
