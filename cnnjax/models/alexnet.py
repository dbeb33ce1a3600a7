"""AlexNet (Krizhevsky et al. 2012, "ImageNet classification with deep CNNs", figure 2, section 3).

Images are 227x227, at which the paper's 55x55 maps come out; it prints 224. The dialect "torch" is
its successor (Krizhevsky 2014, "One weird trick", arXiv 1404.5997): one tower, other features, no
response normalisation.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.layers import ACTIVATIONS, NORMS, POOLS, ConvBN, Dense, Dropout, local_response_norm
from cnnjax.layers.adaptive import adaptive_average_pool
from cnnjax.registry import Table


class AlexNet(nn.Module):
    """Five convolutions, three of them pooled, and three dense layers.

    Attributes:
      features, units: of the convolutions and of the dense layers before the classifier.
      stem: kernel, stride and padding on every side of the first convolution.
      groups: towers; the second, fourth and fifth convolution see one half of the maps (figure 2).
      response_norm: n, k, alpha and beta of section 3.3, after the first two; () for none.
      grid: size to which the last maps are pooled adaptively before the dense layers, 6 in the
        one-tower network; 0 takes them as they are, and the first dense layer fits one input size.
      dropout_before: dropout before the hidden dense layers instead of after them.
    """

    classes: int = 1000
    features: tuple[int, ...] = (96, 256, 384, 384, 256)
    units: tuple[int, ...] = (4096, 4096)
    stem: tuple[int, int, int] = (11, 4, 0)
    groups: int = 2
    response_norm: tuple[Any, ...] = (5, 2.0, 1e-4, 0.75)
    grid: int = 0
    dropout_rate: float = 0.5
    dropout_before: bool = False
    act: str = "relu"
    norm: str = "none"
    pool: str = "max"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        pool = partial(POOLS[self.pool], window=3, stride=2)
        norm = NORMS[self.norm](train, self.axis_name)
        conv = partial(ConvBN, norm=norm, act=self.act, use_bias=True, dtype=self.dtype)
        dropout = partial(Dropout, self.dropout_rate, train=train, axis_name=self.axis_name)
        kernel, stride, padding = self.stem
        c1, c2, c3, c4, c5 = self.features
        x = conv(c1, kernel, stride, padding, name="conv1")(x)
        x = pool(self.respond(x))
        x = conv(c2, 5, groups=self.groups, name="conv2")(x)
        x = pool(self.respond(x))
        x = conv(c3, 3, name="conv3")(x)
        x = conv(c4, 3, groups=self.groups, name="conv4")(x)
        x = pool(conv(c5, 3, groups=self.groups, name="conv5")(x))
        if self.grid:
            x = adaptive_average_pool(x, self.grid)
        x = x.reshape(x.shape[0], -1)
        for i, units in enumerate(self.units, 1):
            x = dropout()(x) if self.dropout_before else x
            x = ACTIVATIONS[self.act](Dense(units, dtype=self.dtype, name=f"fc{i}")(x))
            x = x if self.dropout_before else dropout()(x)
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))

    def respond(self, x: jax.Array) -> jax.Array:
        return local_response_norm(x, *self.response_norm) if self.response_norm else x


TORCH = {
    "features": (64, 192, 384, 256, 256),
    "stem": (11, 4, 2),
    "groups": 1,
    "response_norm": (),
    "grid": 6,
    "dropout_before": True,
}
DIALECTS = {"paper": {}, "torch": TORCH}
MODELS = Table(
    "network",
    alexnet=AlexNet,
    # For 32x32 images: the maps of one of the two towers, and a first layer that keeps the size.
    alexnet_lite=partial(
        AlexNet,
        features=(48, 128, 192, 192, 128),
        units=(512, 512),
        stem=(3, 1, 1),
        groups=1,
        response_norm=(),
    ),
)
