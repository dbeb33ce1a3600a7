"""ResNet with pre-activation (He et al. 2016, "Identity mappings in deep residual networks",
arXiv 1603.05027, figure 4e).

The defaults are Keras': a stage strides in its *last* block, past which a strided pool of size one
carries the identity. timm strides in the first block of a stage, as the paper does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.layers import ACTIVATIONS, GLOBAL_POOLS, NORMS, POOLS, Conv, Dense, max_pool
from cnnjax.registry import Table


class Block(nn.Module):
    """Normalise and activate, then convolve, three times; the sum is left as it is."""

    features: int
    stride: int
    project: bool
    conv_bias: bool
    conv: Callable[..., nn.Module]
    normalised: Callable[..., jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        inner = self.features // 4
        conv, normalised = self.conv, self.normalised
        y = normalised(x, name="norm1")
        if self.project:
            shortcut = conv(
                self.features, 1, self.stride, use_bias=self.conv_bias, name="shortcut"
            )(y)
        else:
            shortcut = max_pool(x, 1, self.stride) if self.stride > 1 else x
        y = conv(inner, 1, name="conv1")(y)
        y = conv(inner, 3, self.stride, padding=1, name="conv2")(normalised(y, name="norm2"))
        y = normalised(y, name="norm3")
        return shortcut + conv(self.features, 1, use_bias=self.conv_bias, name="conv3")(y)


class ResNetV2(nn.Module):
    """7x7 and pool, four stages of blocks, a last normalisation, global pool, head.

    Attributes:
      blocks: per stage.
      width: features of the stem; a quarter of those of the first stage.
      conv_bias: on the convolutions that no normalisation follows.
      stride_in: the block of a stage that strides, "first" or "last"; "last" spares the last stage,
        "first" the first.
      pool_sees_zeros: whether the padding of the stem's max-pool is zeros that may win (no
        activation comes before it), or nothing.
    """

    classes: int = 1000
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    conv_bias: bool = True
    stride_in: str = "last"
    pool_sees_zeros: bool = True
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
        x = conv(self.width, 7, 2, padding=3, use_bias=self.conv_bias, name="stem")(x)
        if self.pool_sees_zeros:
            x = POOLS[self.pool](jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 3, 2)
        else:
            x = POOLS[self.pool](x, 3, 2, padding=1)
        last = len(self.blocks) - 1
        for i, count in enumerate(self.blocks):
            strided = {"first": (0, i > 0), "last": (count - 1, i < last)}
            at, reduces = Table("stride_in", strided)[self.stride_in]
            for j in range(count):
                x = Block(
                    4 * self.width * 2**i,
                    stride=2 if reduces and j == at else 1,
                    project=j == 0,
                    conv_bias=self.conv_bias,
                    conv=conv,
                    normalised=normalised,
                    name=f"stage{i + 1}_block{j + 1}",
                )(x)
        x = GLOBAL_POOLS[self.global_pool](normalised(x, name="norm"))
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


MODELS = Table(
    "network",
    resnet50_v2=ResNetV2,
    resnet101_v2=partial(ResNetV2, blocks=(3, 4, 23, 3)),
    resnet152_v2=partial(ResNetV2, blocks=(3, 8, 36, 3)),
)
TIMM = {
    "conv_bias": False,
    "stride_in": "first",
    "pool_sees_zeros": False,
    "epsilon": 1e-5,
    "momentum": 0.9,
}
DIALECTS = {"keras": {}, "timm": TIMM}
