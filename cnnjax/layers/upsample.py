"""From small maps to large ones: by repetition, and by learnt weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype

from cnnjax.kernels import Window
from cnnjax.layers.correlate import correlate
from cnnjax.layers.initial import scaled

# The fan-in is the channels: every output sees one place of its input.
he_normal = partial(scaled, scale=2, fan="fan_in", distribution="truncated_normal", apart=(0, 1))


class UpConv(nn.Module):
    """The up-convolution of U-Net: every place becomes 2x2 places of `features` channels.

    As a transposed convolution of kernel 2 and stride 2, whose windows do not overlap: torch's
    ConvTranspose2d(channels, features, 2, 2). Parameters: `kernel` (2, 2, channels, features),
    `bias` (features,).
    """

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, height, width, channels = x.shape
        shape = (2, 2, channels, self.features)
        weights = self.param("kernel", he_normal, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        x, weights, bias = promote_dtype(x, weights, bias, dtype=self.dtype)
        # A 1x1 convolution to four times the channels, which then find their places.
        weights = weights.transpose(2, 0, 1, 3).reshape(1, 1, channels, 4 * self.features)
        alone = Window((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
        y = correlate(x, weights, alone, bias=jnp.tile(bias, 4))
        y = y.reshape(batch, height, width, 2, 2, self.features).transpose(0, 1, 3, 2, 4, 5)
        return y.reshape(batch, 2 * height, 2 * width, self.features)


@jax.named_scope("repeated")
def repeated(x: jax.Array, size: Sequence[int]) -> jax.Array:
    """Returns x (batch, height, width, channels) in another size, by the nearest pixel.

    A place is repeated as often as the sizes say; where they are no multiples, what is beyond is
    cut, or the last place repeated once more, as long as it is less than a place.
    """
    times = [max(1, round(wanted / own)) for wanted, own in zip(size, x.shape[1:3], strict=True)]
    if any(
        abs(own * n - wanted) >= n > 1 or (n == 1 and own != wanted)
        for own, n, wanted in zip(x.shape[1:3], times, size, strict=True)
    ):
        return jax.image.resize(x, (len(x), *size, x.shape[-1]), "nearest")
    batch, height, width, channels = x.shape
    down, across = times
    spread = jnp.broadcast_to(
        x[:, :, None, :, None], (batch, height, down, width, across, channels)
    )
    return fitted(spread.reshape(batch, height * down, width * across, channels), size, "edge")


def fitted(x: jax.Array, size: Sequence[int], mode: str = "constant") -> jax.Array:
    """Returns x with rows and columns cut, or padded, at the far sides."""
    x = x[:, : size[0], : size[1]]
    beyond = [(0, wanted - own) for wanted, own in zip(size, x.shape[1:3], strict=True)]
    return jnp.pad(x, ((0, 0), *beyond, (0, 0)), mode) if any(map(max, beyond)) else x


def centre(x: jax.Array, size: Sequence[int]) -> jax.Array:
    """Returns the middle of x, (batch, *size, channels)."""
    row, column = ((own - wanted) // 2 for own, wanted in zip(x.shape[1:3], size, strict=True))
    return x[:, row : row + size[0], column : column + size[1]]
