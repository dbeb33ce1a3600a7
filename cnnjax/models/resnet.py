"""ResNet (He et al. 2015, arXiv 1512.03385, table 1) and ResNeXt (Xie et al. 2016, 1611.05431).

By default as in torchvision: no biases before a normalisation, and the stride of a bottleneck on
its 3x3 ("v1.5"). Keras has biases, and strides on the first 1x1, as the paper does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.layers import GLOBAL_POOLS, NORMS, POOLS, ConvBN, Dense
from cnnjax.registry import Table


class Basic(nn.Module):
    """Two 3x3 convolutions around an identity (figure 5, left)."""

    features: int
    stride: int
    unit: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shortcut = shortcut_of(x, self.features, self.stride, self.unit)
        x = self.unit(self.features, 3, self.stride, padding=1, name="conv1")(x)
        return self.unit(self.features, 3, padding=1, name="conv2")(x, shortcut)


class Bottleneck(nn.Module):
    """1x1 to `inner` features, 3x3 in `groups`, 1x1 to `features` (figure 5, right)."""

    features: int
    inner: int
    groups: int
    stride_on: str
    stride: int
    unit: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        strides = Table("stride_on", {"1x1": (self.stride, 1), "3x3": (1, self.stride)})
        first, second = strides[self.stride_on]
        shortcut = shortcut_of(x, self.features, self.stride, self.unit)
        x = self.unit(self.inner, 1, first, name="conv1")(x)
        x = self.unit(self.inner, 3, second, padding=1, groups=self.groups, name="conv2")(x)
        return self.unit(self.features, 1, name="conv3")(x, shortcut)


def shortcut_of(x: jax.Array, features: int, stride: int, unit: Any) -> jax.Array:
    """Returns x, or its projection (option B) where the block changes the shape."""
    if stride == 1 and x.shape[-1] == features:
        return x
    return unit(features, 1, stride, act="linear", name="shortcut")(x)


class ResNet(nn.Module):
    """7x7 and pool, four stages of blocks, global pool, head: 224 -> 56, 28, 14, 7 pixels.

    Attributes:
      blocks: per stage.
      bottleneck: 1x1, 3x3, 1x1 with four times the features, instead of two 3x3.
      stem_kernel, stem_stride, stem_pool: 3, 1 and False for images of 32 pixels.
      width: features of the stem; those of the first stage before the fourfold.
      groups, group_width: the first stage's 3x3 has groups * group_width features (ResNeXt's
        "32x4d"); bottlenecks only.
      conv_bias: also where a normalisation follows.
      stride_on: "1x1" (the paper) or "3x3", bottlenecks only.
    """

    classes: int = 1000
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    bottleneck: bool = True
    stem_kernel: int = 7
    stem_stride: int = 2
    stem_pool: bool = True
    width: int = 64
    groups: int = 1
    group_width: int = 64
    conv_bias: bool = False
    stride_on: str = "3x3"
    epsilon: float = 1e-5
    momentum: float = 0.9
    act: str = "relu"
    norm: str = "batch"
    pool: str = "max"
    global_pool: str = "average"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        norm = NORMS[self.norm](train, self.axis_name, epsilon=self.epsilon, momentum=self.momentum)
        unit = partial(ConvBN, norm=norm, act=self.act, use_bias=self.conv_bias, dtype=self.dtype)
        kernel, stride = self.stem_kernel, self.stem_stride
        x = unit(self.width, kernel, stride, padding=kernel // 2, name="stem")(x)
        if self.stem_pool:
            x = POOLS[self.pool](x, 3, 2, padding=1)
        for i, count in enumerate(self.blocks):
            features, inner = self.width * 2**i, self.groups * self.group_width * 2**i
            block = partial(Basic, features)
            if self.bottleneck:
                block = partial(Bottleneck, 4 * features, inner, self.groups, self.stride_on)
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                name = f"stage{i + 1}_block{j + 1}"
                x = block(stride=stride, unit=unit, name=name)(x)
        x = GLOBAL_POOLS[self.global_pool](x)
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


KERAS = {"conv_bias": True, "stride_on": "1x1", "epsilon": 1.001e-5, "momentum": 0.99}
TORCH = {"conv_bias": False, "stride_on": "3x3", "epsilon": 1e-5, "momentum": 0.9}
DIALECTS = {"keras": KERAS, "torch": TORCH, "timm": TORCH}
basic = partial(ResNet, bottleneck=False)
resnext = partial(ResNet, groups=32)
MODELS = Table(
    "network",
    resnet18=partial(basic, blocks=(2, 2, 2, 2)),
    resnet34=partial(basic, blocks=(3, 4, 6, 3)),
    resnet50=partial(ResNet, blocks=(3, 4, 6, 3)),
    resnet101=partial(ResNet, blocks=(3, 4, 23, 3)),
    resnet152=partial(ResNet, blocks=(3, 8, 36, 3)),
    resnext50_32x4d=partial(resnext, group_width=4, blocks=(3, 4, 6, 3)),
    resnext101_32x8d=partial(resnext, group_width=8, blocks=(3, 4, 23, 3)),
)
