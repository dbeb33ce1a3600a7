"""GoogLeNet (Szegedy et al. 2014, "Going deeper with convolutions", arXiv 1409.4842, table 1)."""

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
    average_pool,
    local_response_norm,
)
from cnnjax.layers.adaptive import adaptive_average_pool
from cnnjax.layers.compose import Box, Branches, Chain, Concat
from cnnjax.registry import Table

# #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj
TABLE = (
    (
        (64, 96, 128, 16, 32, 32),  # 3a
        (128, 128, 192, 32, 96, 64),  # 3b
    ),
    (
        (192, 96, 208, 16, 48, 64),  # 4a
        (160, 112, 224, 24, 64, 64),  # 4b
        (128, 128, 256, 24, 64, 64),  # 4c
        (112, 144, 288, 32, 64, 64),  # 4d
        (256, 160, 320, 32, 128, 128),  # 4e
    ),
    (
        (256, 160, 320, 32, 128, 128),  # 5a
        (384, 192, 384, 48, 128, 128),  # 5b
    ),
)

AUXILIARY = {(2, 1): "aux1", (2, 4): "aux2"}  # on 4a and 4d


class GoogLeNet(nn.Module):
    """A stem and nine Inception modules in three stages.

    Attributes:
      stages: rows of table 1.
      auxiliary: whether classifiers on 4a and 4d `sow` their logits, as `aux1/logits` and
        `aux2/logits` in the collection `auxiliary`. Only a training loss wants them.
      auxiliary_grid: size to which these pool adaptively; 0 pools windows of 5 by steps of 3.
      large_kernel: of the branch called 5x5; 3 in a widespread port.
      last_pool: window of the pooling before 5a.
      response_norm: n, k, alpha and beta of the two local response normalisations, which the paper
        does not print (these are AlexNet's); () for none.
      conv_bias: whether convolutions have one.
    """

    classes: int = 1000
    stages: tuple[tuple[tuple[int, ...], ...], ...] = TABLE
    auxiliary: bool = False
    auxiliary_grid: int = 0
    large_kernel: int = 5
    last_pool: int = 3
    response_norm: tuple[Any, ...] = (5, 2.0, 1e-4, 0.75)
    conv_bias: bool = True
    dropout_rate: float = 0.4
    auxiliary_dropout_rate: float = 0.7
    epsilon: float = 1e-3
    momentum: float = 0.9
    act: str = "relu"
    norm: str = "none"
    pool: str = "max"
    global_pool: str = "average"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        norm = NORMS[self.norm](train, self.axis_name, epsilon=self.epsilon, momentum=self.momentum)
        unit = partial(ConvBN, norm=norm, act=self.act, use_bias=self.conv_bias, dtype=self.dtype)
        pool = POOLS[self.pool]
        shrink = partial(pool, window=3, stride=2, ceil_mode=True)
        smooth = partial(pool, window=3, stride=1, padding="same")
        auxiliary = partial(
            AuxiliaryHead,
            self.classes,
            self.auxiliary_grid,
            unit=unit,
            act=self.act,
            dropout=partial(Dropout, self.auxiliary_dropout_rate, train, self.axis_name),
            dtype=self.dtype,
        )
        stem = [(64, 7, 2, 3), shrink, self.respond, (64, 1), (192, 3), self.respond, shrink]
        x = Chain(unit, name="stem")(x, stem)
        for s, stage in enumerate(self.stages, 1):
            if s > 1:
                x = shrink(x, window=self.last_pool if s == 3 else 3)
            for b, row in enumerate(stage, 1):
                branches = inception(row, self.large_kernel, smooth)
                x = Concat(unit, name=f"stage{s}_block{b}")(x, branches)
                if self.auxiliary and (s, b) in AUXILIARY:
                    auxiliary(name=AUXILIARY[s, b])(x)
        x = Dropout(self.dropout_rate, train, self.axis_name)(GLOBAL_POOLS[self.global_pool](x))
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))

    def respond(self, x: jax.Array) -> jax.Array:
        return local_response_norm(x, *self.response_norm) if self.response_norm else x


def inception(row: tuple[int, ...], large: int, pool: Box) -> Branches:
    """Returns the branches of figure 2b for a row of table 1."""
    c1, r3, c3, r5, c5, p = row
    return {
        "1x1": [(c1, 1)],
        "3x3": [(r3, 1), (c3, 3)],
        "5x5": [(r5, 1), (c5, large)],
        "_pool": [pool, (p, 1)],
    }


class AuxiliaryHead(nn.Module):
    """The classifier of section 5 that feeds gradient into the middle of the network."""

    classes: int
    grid: int
    unit: Any
    act: str
    dropout: Any
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> None:
        x = adaptive_average_pool(x, self.grid) if self.grid else average_pool(x, 5, 3)
        x = self.unit(128, 1, name="conv")(x)
        x = x.reshape(x.shape[0], -1)
        x = ACTIVATIONS[self.act](Dense(1024, dtype=self.dtype, name="fc")(x))
        x = Dense(self.classes, dtype=self.dtype, name="head")(self.dropout()(x))
        if not self.is_initializing():  # which keeps all that is sown among the variables
            self.sow("auxiliary", "logits", x.astype(jnp.promote_types(x.dtype, jnp.float32)))


TORCH = {
    "auxiliary_grid": 4,
    "large_kernel": 3,
    "last_pool": 2,
    "response_norm": (),
    "conv_bias": False,
    "dropout_rate": 0.2,
    "norm": "batch",
}
DIALECTS = {"paper": {}, "torch": TORCH}
MODELS = Table("network", googlenet=GoogLeNet)
