"""SqueezeNet (Iandola et al. 2016, arXiv 1602.07360, table 1), and the authors' version 1.1."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.layers import ACTIVATIONS, GLOBAL_POOLS, NORMS, POOLS, Conv, ConvBN, Dropout
from cnnjax.layers.compose import concat
from cnnjax.registry import Table

# Columns s1x1, e1x1, e3x3 of table 1, one line per pooling before them.
fire2, fire4, fire6, fire8 = (16, 64, 64), (32, 128, 128), (48, 192, 192), (64, 256, 256)
FIRES = (
    (fire2, fire2, fire4),
    (fire4, fire6, fire6, fire8),
    (fire8,),
)


class Fire(nn.Module):
    """Squeezes the channels by a 1x1 convolution, then expands them by a 1x1 and a 3x3 (figure 1).

    Attributes:
      s1x1, e1x1, e3x3: features of the three.
    """

    s1x1: int
    e1x1: int
    e3x3: int
    unit: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.unit(self.s1x1, 1, name="squeeze")(x)
        return concat(
            self.unit(self.e1x1, 1, name="expand1x1")(x),
            self.unit(self.e3x3, 3, name="expand3x3")(x),
        )


class SqueezeNet(nn.Module):
    """A convolution, eight fire modules between three poolings, and a convolution to the classes.

    Attributes:
      stem_features, stem_kernel: of the first convolution, whose stride is 2.
      stages: (s1x1, e1x1, e3x3) of the fire modules that follow each pooling.
      ceil_mode: whether the poolings keep the last, incomplete window.
    """

    classes: int = 1000
    stem_features: int = 96
    stem_kernel: int = 7
    stages: tuple[tuple[tuple[int, int, int], ...], ...] = FIRES
    ceil_mode: bool = True
    dropout_rate: float = 0.5
    act: str = "relu"
    norm: str = "none"
    pool: str = "max"
    global_pool: str = "average"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        norm = NORMS[self.norm](train, self.axis_name)
        unit = partial(ConvBN, norm=norm, act=self.act, use_bias=True, dtype=self.dtype)
        x = unit(self.stem_features, self.stem_kernel, 2, "valid", name="stem")(x)
        for s, stage in enumerate(self.stages, 1):
            x = POOLS[self.pool](x, 3, 2, ceil_mode=self.ceil_mode)
            for b, row in enumerate(stage, 1):
                x = Fire(*row, unit, name=f"stage{s}_block{b}")(x)
        x = Dropout(self.dropout_rate, train, self.axis_name)(x)
        # Where other networks end in a dense layer, this one classifies each position and averages.
        x = Conv(self.classes, 1, dtype=self.dtype, name="head")(x)
        x = GLOBAL_POOLS[self.global_pool](ACTIVATIONS[self.act](x))
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


MODELS = Table(
    "network",
    squeezenet1_0=SqueezeNet,
    # A smaller first window and earlier poolings: 2.4 times fewer operations, by its authors.
    squeezenet1_1=partial(
        SqueezeNet,
        stem_features=64,
        stem_kernel=3,
        stages=((fire2, fire2), (fire4, fire4), (fire6, fire6, fire8, fire8)),
    ),
)
DIALECTS = {"torch": {}, "paper": {"ceil_mode": False}}
