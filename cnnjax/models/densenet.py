"""DenseNet-BC (Huang et al. 2016, arXiv 1608.06993, table 1)."""

from __future__ import annotations

from collections.abc import Callable
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
from cnnjax.registry import Table


class DenseLayer(nn.Module):
    """1x1 to four times `growth`, 3x3 to `growth` features, which join those that came in."""

    growth: int
    conv: Callable[..., nn.Module]
    normalised: Callable[..., jax.Array]
    dropout: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.conv(4 * self.growth, 1, name="conv1")(self.normalised(x, name="norm1"))
        y = self.conv(self.growth, 3, name="conv2")(self.normalised(y, name="norm2"))
        return jnp.concatenate((x, self.dropout()(y)), axis=-1)


class Transition(nn.Module):
    """1x1 to `features`, and half the resolution."""

    features: int
    conv: Callable[..., nn.Module]
    normalised: Callable[..., jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.conv(self.features, 1, name="conv")(self.normalised(x, name="norm"))
        return average_pool(x, 2)


class DenseNet(nn.Module):
    """7x7 and pool, four dense blocks with transitions between, global pool, head.

    Attributes:
      blocks: layers per dense block (a layer is `stageN_blockM`).
      growth: the paper's k, features added by each layer.
      width: features of the stem, 2k.
      compression: the paper's theta, in (0, 1].
      dropout_rate: after each layer's 3x3 convolution, in [0, 1].
    """

    classes: int = 1000
    blocks: tuple[int, ...] = (6, 12, 24, 16)
    growth: int = 32
    width: int = 64
    compression: float = 0.5
    dropout_rate: float = 0.0
    epsilon: float = 1.001e-5
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

        def normalised(x: jax.Array, name: str) -> jax.Array:
            return ACTIVATIONS[self.act](norm(name=name)(x) if norm else x)

        conv = partial(Conv, use_bias=False, dtype=self.dtype)
        dropout = partial(Dropout, self.dropout_rate, train=train, axis_name=self.axis_name)
        x = ConvBN(
            self.width, 7, 2, padding=3, norm=norm, act=self.act, dtype=self.dtype, name="stem"
        )(x)
        x = POOLS[self.pool](x, 3, 2, padding=1)
        for i, count in enumerate(self.blocks, 1):
            for j in range(1, count + 1):
                name = f"stage{i}_block{j}"
                x = DenseLayer(self.growth, conv, normalised, dropout, name=name)(x)
            if i < len(self.blocks):
                features = int(x.shape[-1] * self.compression)
                x = Transition(features, conv, normalised, name=f"transition{i}")(x)
        x = GLOBAL_POOLS[self.global_pool](normalised(x, name="norm"))
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


MODELS = Table(
    "network",
    densenet121=DenseNet,
    densenet169=partial(DenseNet, blocks=(6, 12, 32, 32)),
    densenet201=partial(DenseNet, blocks=(6, 12, 48, 32)),
)
TORCH = {"epsilon": 1e-5, "momentum": 0.9}
DIALECTS = {"keras": {}, "torch": TORCH, "timm": TORCH}
