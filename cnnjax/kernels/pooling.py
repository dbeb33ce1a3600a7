"""Windows reduced by XLA on a CPU in less time than by its own operation, there and back.

`size`, `stride` and `padding`, (before, after), are those of the windows, per spatial dimension.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnnjax.kernels.apart import apart
from cnnjax.kernels.door import kernel

Sizes = tuple[int, ...]
Widths = tuple[tuple[int, int], ...]


@kernel
def largest_pairwise(x: jax.Array, *, size: Sizes, stride: Sizes, padding: Widths) -> jax.Array:
    """Compares the pixels of all windows one after another, as strided slices.

    `lax.reduce_window` takes, there and back on a CPU, 10 to 25 times as long for 2x2 and 1.4 to 5
    times for 3x3, but a third of the time for 4x4. Every device takes it.
    """
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.iinfo(x.dtype).min
    return pairwise(larger, x, lowest, size, stride, padding)


@kernel
def added_pairwise(x: jax.Array, *, size: Sizes, stride: Sizes, padding: Widths) -> jax.Array:
    """Adds up the pixels of all windows one after another, as `largest_pairwise` does.

    There and back 3x3 windows two pixels apart over 32 x 32 x 32 x 64 take 0.21 of the time of
    `lax.reduce_window`, 8.0 ms instead of 52, and 2x2 0.75 (two busy cores of an AMD EPYC).
    """
    return pairwise(lax.add, x, 0.0, size, stride, padding)


def pairwise(
    operation: Callable[[jax.Array, jax.Array], jax.Array],
    x: jax.Array,
    initial: float,
    size: Sizes,
    stride: Sizes,
    padding: Widths,
) -> jax.Array:
    """Reduces each window by `operation`; padding holds `initial`."""
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=initial)
    return functools.reduce(operation, taps(padded, size, stride))


def larger(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns the larger of two, `a` when equal; its gradient goes to that one alone."""
    return jnp.where((b > a) | jnp.isnan(b), b, a)


def taps(x: jax.Array, size: Sizes, stride: Sizes) -> Iterator[jax.Array]:
    """Yields, in reading order, one pixel of every window: (batch, *outputs, channels)."""
    spans = [(n - k) // s * s + 1 for n, k, s in zip(x.shape[1:-1], size, stride, strict=True)]
    for start in itertools.product(*map(range, size)):
        end = [o + span for o, span in zip(start, spans, strict=True)]
        yield lax.slice(x, (0, *start, 0), (x.shape[0], *end, x.shape[-1]), (1, *stride, 1))


@kernel
def largest_apart(pool: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """Computes the gradient of `pool` once.

    XLA otherwise does so in everything that uses it, as often as a normalisation before the pooling
    does: the step of resnet50 at 64x64 takes 477 ms instead of 489 (two cores of an AMD EPYC).
    """
    return pooled_apart(x, pool)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def pooled_apart(x: jax.Array, pool: Callable[[jax.Array], jax.Array]) -> jax.Array:
    return pool(x)


def apart_forward(
    x: jax.Array, pool: Callable[[jax.Array], jax.Array]
) -> tuple[jax.Array, jax.Array]:
    return pool(x), x


def apart_backward(
    pool: Callable[[jax.Array], jax.Array], x: jax.Array, gradient: jax.Array
) -> tuple[jax.Array]:
    def winners(x: jax.Array, gradient: jax.Array) -> jax.Array:
        return jax.vjp(pool, x)[1](gradient)[0]

    return (apart(winners, x.shape, x, gradient),)


pooled_apart.defvjp(apart_forward, apart_backward)


@kernel
def largest_of_tiles(
    pool: Callable[[jax.Array], jax.Array], x: jax.Array, *, size: Sizes
) -> jax.Array:
    """Keeps which pixel of a window won as a number, with which each compares its own on the way
    back. For windows that meet and do not overlap.

    The gradient of slices and comparisons puts the parts together from strided pieces instead:
    2.9 ms instead of 13.1 for 128 x 24 x 24 x 64, both ways (two cores of an Intel Xeon).
    """
    return pooled_tiles(x, pool, size)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def pooled_tiles(x: jax.Array, pool: Callable[[jax.Array], jax.Array], size: Sizes) -> jax.Array:
    return pool(x)


def tiles_forward(
    x: jax.Array, pool: Callable[[jax.Array], jax.Array], size: Sizes
) -> tuple[jax.Array, tuple]:
    largest, number = winners(x, size)
    return largest, (number, x.shape)


def tiles_backward(
    pool: Callable[[jax.Array], jax.Array], size: Sizes, kept: tuple, gradient: jax.Array
) -> tuple[jax.Array]:
    number, shape = kept
    return (to_winners(gradient, number, size, shape),)


pooled_tiles.defvjp(tiles_forward, tiles_backward)


def winners(x: jax.Array, window: Sizes) -> tuple[jax.Array, jax.Array]:
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


def in_tiles(x: jax.Array, window: Sizes) -> jax.Array:
    """Returns x as (batch, outputs, window, outputs, window, ..., channels)."""
    counts = [n // k for n, k in zip(x.shape[1:-1], window, strict=True)]
    used = x[:, *(slice(o * k) for o, k in zip(counts, window, strict=True))]
    shape = itertools.chain.from_iterable(zip(counts, window, strict=True))
    return used.reshape(len(x), *shape, x.shape[-1])


def index(tap: tuple) -> tuple:
    """Returns what picks the pixel `tap` of every tile, or adds its dimensions for None."""
    return (slice(None), *itertools.chain.from_iterable((slice(None), i) for i in tap))


def to_winners(gradient: jax.Array, number: jax.Array, window: Sizes, shape: Sizes) -> jax.Array:
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
