"""ResNet for 32x32 images (He et al. 2015, arXiv 1512.03385, section 4.2): 6n + 2 layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.layers import GLOBAL_POOLS, NORMS, ConvBN, Dense, joined
from cnnjax.registry import Table


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut: the identity, option A or option B."""

    features: int
    stride: int
    shortcut: str
    shortcut_norm: bool
    act: str
    unit: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.unit(self.features, 3, self.stride, name="conv1")(x)
        if x.shape == y.shape:
            return self.unit(self.features, 3, name="conv2")(y, x)
        # Files of Keras, which go by the order of the layers, have the projection last.
        y = self.unit(self.features, 3, act="linear", name="conv2")(y)
        x = Table("shortcut", A=self.zeros, B=self.projection)[self.shortcut](x)
        return joined(y, x, self.act)

    def zeros(self, x: jax.Array) -> jax.Array:
        """Option A: every second pixel, and channels of zeros, half of them on either side."""
        extra = self.features - x.shape[-1]
        x = x[:, :: self.stride, :: self.stride]
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (extra // 2, extra - extra // 2)))

    def projection(self, x: jax.Array) -> jax.Array:
        """Option B: a strided 1x1 convolution."""
        norm = {} if self.shortcut_norm else {"norm": None}
        return self.unit(
            self.features, 1, self.stride, padding=0, act="linear", name="shortcut", **norm
        )(x)


class CifarResNet(nn.Module):
    """3x3, three stages of `blocks` blocks at 32, 16 and 8 pixels, global pool, head.

    Attributes:
      blocks: per stage, the paper's n.
      width: features of the stem and the first stage; doubled in each next stage.
      shortcut: "A", no parameters, or "B", projections, where a block changes the shape.
      shortcut_norm: whether a projection is normalised.
      conv_bias: also where a normalisation follows.
      symmetric: whether a strided 3x3 pads a pixel on every side; else as "same" does, which is the
        far sides only where the size is even.
    """

    classes: int = 10
    blocks: int = 3
    width: int = 16
    shortcut: str = "A"
    shortcut_norm: bool = True
    conv_bias: bool = False
    symmetric: bool = True
    epsilon: float = 1e-5
    momentum: float = 0.9
    act: str = "relu"
    norm: str = "batch"
    global_pool: str = "average"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        norm = NORMS[self.norm](train, self.axis_name, epsilon=self.epsilon, momentum=self.momentum)
        unit = partial(
            ConvBN,
            norm=norm,
            act=self.act,
            padding=1 if self.symmetric else "same",
            use_bias=self.conv_bias,
            dtype=self.dtype,
        )
        x = unit(self.width, 3, name="stem")(x)
        for i in range(3):
            for j in range(self.blocks):
                x = Block(
                    self.width * 2**i,
                    stride=2 if i > 0 and j == 0 else 1,
                    shortcut=self.shortcut,
                    shortcut_norm=self.shortcut_norm,
                    act=self.act,
                    unit=unit,
                    name=f"stage{i + 1}_block{j + 1}",
                )(x)
        x = GLOBAL_POOLS[self.global_pool](x)
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


MODELS = Table(
    "network",
    resnet20=CifarResNet,
    resnet32=partial(CifarResNet, blocks=5),
    resnet44=partial(CifarResNet, blocks=7),
    resnet56=partial(CifarResNet, blocks=9),
    resnet110=partial(CifarResNet, blocks=18),
)
# Of the "cifar10_resnet" example of Keras, version 1.
KERAS = {
    "shortcut": "B",
    "shortcut_norm": False,
    "conv_bias": True,
    "symmetric": False,
    "epsilon": 1e-3,
    "momentum": 0.99,
}
DIALECTS = {"keras": KERAS, "torch": {}}
