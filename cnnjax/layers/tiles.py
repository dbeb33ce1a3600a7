"""The maximum of windows that meet and do not overlap, on its way back on a CPU.

Which pixel of a window won is kept as a number, with which each pixel compares its own. The
gradient of slices and comparisons would put the parts together from strided pieces instead, in four
times the time.
"""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np


def winners(x: jax.Array, window: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Returns the largest values of x (batch, *spatial, channels), and the numbers of their pixels.

    Numbers count each window in reading order, int8. What is left over at the end of a dimension
    belongs to no window.
    """
    split = in_tiles(x, window)
    pixels = (split[index(tap)] for tap in itertools.product(*map(range, window)))
    largest = next(pixels)
    number = jnp.zeros(largest.shape, jnp.int8)
    for i, pixel in enumerate(pixels, 1):
        wins = (pixel > largest) | jnp.isnan(pixel)
        largest, number = jnp.where(wins, pixel, largest), jnp.where(wins, np.int8(i), number)
    return largest, number


def in_tiles(x: jax.Array, window: tuple[int, ...]) -> jax.Array:
    """Returns x as (batch, outputs, window, outputs, window, ..., channels)."""
    counts = [n // k for n, k in zip(x.shape[1:-1], window, strict=True)]
    used = x[:, *(slice(o * k) for o, k in zip(counts, window, strict=True))]
    shape = itertools.chain.from_iterable(zip(counts, window, strict=True))
    return used.reshape(len(x), *shape, x.shape[-1])


def index(tap: tuple) -> tuple:
    """Returns what picks the pixel `tap` of every tile, or adds its dimensions for None."""
    return (slice(None), *itertools.chain.from_iterable((slice(None), i) for i in tap))


def to_winners(
    gradient: jax.Array, number: jax.Array, window: tuple[int, ...], shape: tuple[int, ...]
) -> jax.Array:
    """Returns the gradient of x of `shape` from that of the largest values, and their numbers."""
    places = np.arange(math.prod(window), dtype=np.int8).reshape(window)
    for axis in range(len(window)):
        places = np.expand_dims(places, 2 * axis)
    apart = index((None,) * len(window))
    spread = jnp.where(number[apart] == places[..., np.newaxis], gradient[apart], 0)
    sizes = [o * k for o, k in zip(gradient.shape[1:-1], window, strict=True)]
    spread = spread.reshape(len(gradient), *sizes, gradient.shape[-1])
    rest = [(0, n - m) for n, m in zip(shape[1:-1], sizes, strict=True)]
    return jnp.pad(spread, ((0, 0), *rest, (0, 0)))
