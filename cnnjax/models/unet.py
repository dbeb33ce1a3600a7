"""U-Net (Ronneberger et al. 2015, arXiv 1505.04597, figure 1): logits for every pixel.

`unet` is the paper's: convolutions without padding, copies cropped, the image mirrored beyond its
edges so that all of it is seen (figure 2). `unet_padded` is what mostly goes by that name today:
"same" padding, and a normalisation after every convolution.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.errors import InputError
from cnnjax.layers import NORMS, POOLS, Conv, ConvBN, Dropout
from cnnjax.layers.compose import concat
from cnnjax.layers.upsample import UpConv, centre, fitted
from cnnjax.registry import Table


class UNet(nn.Module):
    """Two convolutions per resolution, down and up again, with copies across.

    Attributes:
      width: features at full resolution; doubled at each lower one.
      depth: poolings.
      padding: of the 3x3 convolutions, "valid" or "same".
      mirror: "valid": the image is continued by its mirror so far that every pixel gets logits.
        Without it a border of pixels gets none: 572 pixels give 388.
      dropout_rate: at the end of the contracting path, in [0, 1]. The paper has no rate; 0.5 is
        that of the network file that its authors publish.
    """

    classes: int = 2
    width: int = 64
    depth: int = 4
    padding: str = "valid"
    mirror: bool = True
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
        unit = partial(
            ConvBN, kernel=3, padding=self.padding, norm=norm, act=self.act,
            use_bias=norm is None, dtype=self.dtype,
        )  # fmt: skip
        size = x.shape[1:3]
        valid = Table("padding of U-Net", valid=True, same=False)[self.padding]
        x = mirrored(x, self.depth) if valid and self.mirror else x
        copies = []
        for i in range(self.depth + 1):
            if i:
                copies.append(x)
                if valid and any(n % 2 for n in x.shape[1:3]):
                    raise InputError(
                        f"no {size[0]}x{size[1]} for U-Net: {advice(size, self.depth)}"
                    )
                x = POOLS[self.pool](x, 2)
            for j in (1, 2):
                x = unit(self.width * 2**i, name=f"stage{i + 1}_block{j}")(x)
        x = Dropout(self.dropout_rate, train=train, axis_name=self.axis_name)(x)
        for i, copy in reversed(list(enumerate(copies, 1))):
            features = self.width * 2 ** (i - 1)
            x = UpConv(features, dtype=self.dtype, name=f"up{i}")(x)
            if valid:
                copy = centre(copy, x.shape[1:3])
            x = concat(copy, fitted(x, copy.shape[1:3]))
            for j in (1, 2):
                x = unit(features, name=f"decoder{i}_block{j}")(x)
        x = Conv(self.classes, 1, dtype=self.dtype, name="head")(x)
        x = centre(x, size) if valid and self.mirror else x
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def sides(side: int, depth: int) -> tuple[int, int]:
    """Returns what goes in and what comes out, for the least input that gives `side` or more."""
    for lowest in itertools.count(5):  # pixels before the convolutions of the lowest resolution
        into, out = lowest, lowest - 4
        for _ in range(depth):
            into, out = 2 * into + 4, 2 * out - 4
        if out >= side:
            return into, out
    raise AssertionError


def mirrored(x: jax.Array, depth: int) -> jax.Array:
    """Returns the image continued by its mirror, so far that the result covers it."""
    beyond = []
    for side in x.shape[1:3]:
        into, out = sides(side, depth)
        before = (into - out) // 2 + (out - side) // 2
        beyond.append((before, into - side - before))
    return jnp.pad(x, ((0, 0), *beyond, (0, 0)), "reflect")


def advice(size: tuple[int, ...], depth: int) -> str:
    return (
        f"without mirror its sides must be {sides(1, depth)[0]} and a multiple of {2**depth} more"
    )


MODELS = Table(
    "network",
    unet=UNet,
    unet_padded=partial(UNet, padding="same", norm="batch", dropout_rate=0.0),
)
