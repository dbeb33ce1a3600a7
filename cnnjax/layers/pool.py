"""Pooling layers over the spatial dimensions of (batch, *spatial, channels).

On positive inputs harmonic <= geometric <= average <= maximum. Averages are taken in float32 or
wider and returned in the input's dtype (integers: in float32).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnnjax import compiler
from cnnjax.errors import InputError
from cnnjax.layers import tiles
from cnnjax.layers.apart import apart
from cnnjax.layers.window import Padding, Size, Widths, by, check_fits, each, pad_widths, spatial
from cnnjax.registry import Table

# Geometric and harmonic averages exist for positive numbers. Values are raised to this guard first,
# so that zeros and negative inputs give the guard's average and a zero gradient instead of nan.
GUARD = 1e-6

# Windows of up to so many pixels are reduced pairwise over strided slices; see `reduce_windows`.
FEW = 9
# Channels from which on `max_of_tiles` is the quicker one.
MANY = 16


@jax.named_scope("max_pool")
def max_pool(
    x: jax.Array,
    window: Size = 2,
    stride: Size | None = None,
    padding: Padding = "valid",
    ceil_mode: bool = False,
) -> jax.Array:
    """Returns the largest value of each window; padding never wins. `stride` None: the window.

    Among equal values the first in reading order gets the gradient; nan wins over everything.
    """
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.iinfo(x.dtype).min
    placed = place(x, window, stride, padding, ceil_mode)
    if tiled(x, placed):
        return max_of_tiles(x, placed)
    if jnp.issubdtype(x.dtype, jnp.floating) and compiler.rewrites():
        return max_apart(x, placed)
    return reduce_windows(x, lowest, lax.max, larger, placed)


def tiled(x: jax.Array, windows: Windows) -> bool:
    """Returns whether `max_of_tiles` is to be had, and the quicker one."""
    plain = windows.size == windows.stride and not any(map(any, windows.widths))
    small = 1 < math.prod(windows.size) <= FEW and x.shape[-1] >= MANY
    floats = jnp.issubdtype(x.dtype, jnp.floating)
    return plain and small and floats and compiler.rewrites()


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_of_tiles(x: jax.Array, windows: Windows) -> jax.Array:
    """Returns the largest value of each window, as `max_pool`."""
    return reduce_windows(x, -jnp.inf, lax.max, larger, windows)


def tiles_forward(x: jax.Array, windows: Windows) -> tuple[jax.Array, tuple]:
    largest, number = tiles.winners(x, windows.size)
    return largest, (number, x.shape)


def tiles_backward(windows: Windows, kept: tuple, gradient: jax.Array) -> tuple[jax.Array]:
    number, shape = kept
    return (tiles.to_winners(gradient, number, windows.size, shape),)


max_of_tiles.defvjp(tiles_forward, tiles_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_apart(x: jax.Array, windows: Windows) -> jax.Array:
    """Returns the largest value of each window, as `max_pool`.

    Its gradient is computed once. XLA on a CPU otherwise does so in everything that uses it, as
    often as a normalisation before the pooling does: 9 ms of a step of ResNet-50 at 64x64.
    """
    return reduce_windows(x, -jnp.inf, lax.max, larger, windows)


def apart_forward(x: jax.Array, windows: Windows) -> tuple[jax.Array, jax.Array]:
    return reduce_windows(x, -jnp.inf, lax.max, larger, windows), x


def apart_backward(windows: Windows, x: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    def winners(x: jax.Array, gradient: jax.Array) -> jax.Array:
        return jax.vjp(lambda x: apart_forward(x, windows)[0], x)[1](gradient)[0]

    return (apart(winners, x.shape, x, gradient),)


max_apart.defvjp(apart_forward, apart_backward)


def larger(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns the larger of two, `a` when equal; its gradient goes to that one alone."""
    return jnp.where((b > a) | jnp.isnan(b), b, a)


@jax.named_scope("average_pool")
def average_pool(
    x: jax.Array,
    window: Size = 2,
    stride: Size | None = None,
    padding: Padding = "valid",
    ceil_mode: bool = False,
    count_padding: bool = False,
) -> jax.Array:
    """Returns the mean of each window, over its pixels alone, or with `padding` as zeros.

    `count_padding` divides by the pixels and the `padding` in the window; what `ceil_mode` adds is
    never counted (PyTorch's count_include_pad).
    """
    values, dtype = precise(x)
    placed = place(x, window, stride, padding, ceil_mode)
    total = reduce_windows(values, 0.0, lax.add, lax.add, placed)
    return (total / counts(spatial(x), placed, count_padding)).astype(dtype)


@jax.named_scope("geometric_pool")
def geometric_pool(
    x: jax.Array,
    window: Size = 2,
    stride: Size | None = None,
    padding: Padding = "valid",
    ceil_mode: bool = False,
) -> jax.Array:
    """Returns the geometric average, exp(mean(log x)), of each window; padding is left out.

    Values below `GUARD` count as the guard: zeros and negative inputs give finite averages, and
    themselves get no gradient.
    """
    values, dtype = precise(x)
    logarithms = jnp.log(jnp.maximum(values, GUARD))
    return jnp.exp(average_pool(logarithms, window, stride, padding, ceil_mode)).astype(dtype)


@jax.named_scope("harmonic_pool")
def harmonic_pool(
    x: jax.Array,
    window: Size = 2,
    stride: Size | None = None,
    padding: Padding = "valid",
    ceil_mode: bool = False,
) -> jax.Array:
    """Returns the harmonic average, 1 / mean(1 / x), of each window; padding is left out.

    Guarded as the geometric. In float32 the gradient is finite for values up to 1e18, whose squares
    it takes.
    """
    values, dtype = precise(x)
    inverses = 1 / jnp.maximum(values, GUARD)
    return (1 / average_pool(inverses, window, stride, padding, ceil_mode)).astype(dtype)


@jax.named_scope("global_average_pool")
def global_average_pool(x: jax.Array) -> jax.Array:
    """Returns (batch, channels): the mean over all positions."""
    values, dtype = precise(x)
    return values.mean(tuple(range(1, x.ndim - 1))).astype(dtype)


@jax.named_scope("global_max_pool")
def global_max_pool(x: jax.Array) -> jax.Array:
    """Returns (batch, channels): the maximum over all positions; equal ones share the gradient."""
    return x.max(tuple(range(1, x.ndim - 1)))


def precise(x: jax.Array) -> tuple[jax.Array, Any]:
    """Returns `x` in the dtype to take averages in, and the dtype to return them in."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return jnp.asarray(x, wide), x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else wide


@dataclass(frozen=True)
class Windows:
    """Where the windows lie, per spatial dimension.

    `asked` is the padding (before, after) that was asked for, `widths` that with what ceil mode
    adds after it.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    asked: Widths
    widths: Widths


def place(
    x: jax.Array, window: Size, stride: Size | None, padding: Padding, ceil_mode: bool
) -> Windows:
    """Returns the windows over `x`; those that hold no pixel, or do not fit, are refused."""
    sizes = spatial(x)
    size = each(window, len(sizes), "window")
    stride = size if stride is None else each(stride, len(sizes), "stride")
    if padding in ("edge", "reflect"):
        raise InputError(f"a pooling leaves its padding out: {padding!r} is for convolutions")
    asked = widths = pad_widths(padding, sizes, size, stride)
    if any(max(pair) >= k for pair, k in zip(asked, size, strict=True)):
        raise InputError(
            f"padding {padding!r} would leave a window of {by(size)} without any pixel"
        )
    if ceil_mode:
        widths = tuple(map(ceil_widths, sizes, size, stride, asked))
    check_fits(sizes, size, widths)
    return Windows(size, stride, asked, widths)


def ceil_widths(n: int, k: int, s: int, asked: tuple[int, int]) -> tuple[int, int]:
    """Returns the padding that leaves no pixel out, when the last window may hang over the end.

    PyTorch's rule: a last window that would start after the input's end is dropped again.
    """
    before, after = asked
    last = -(-(n + before + after - k) // s) * s
    if last >= n + before:
        last -= s
    return before, max(after, last + k - n - before)


def counts(sizes: Sequence[int], windows: Windows, count_padding: bool) -> np.ndarray:
    """Returns what each window divides its sum by, (*outputs, 1)."""
    pixels = []
    for n, k, s, asked, (before, after) in zip(
        sizes, windows.size, windows.stride, windows.asked, windows.widths, strict=True
    ):
        first, end = (-asked[0], n + asked[1]) if count_padding else (0, n)
        starts = np.arange(-before, n + after - k + 1, s)
        pixels.append(np.minimum(starts + k, end) - np.maximum(starts, first))
    return functools.reduce(np.multiply.outer, pixels)[..., np.newaxis]


def reduce_windows(
    x: jax.Array,
    initial: float,
    operation: Callable[..., jax.Array],
    pairwise: Callable[[jax.Array, jax.Array], jax.Array],
    windows: Windows,
) -> jax.Array:
    """Reduces each window by `operation`, from `initial`, which is also what padding holds.

    Small windows go through `pairwise` over strided slices, which has the values and gradients of
    `lax.reduce_window`. On a CPU that takes, forward and backward, 10 to 25 times as long for 2x2
    maxima and 1.4 to 5 times for 3x3 ones, but a third of the time for 4x4.
    """
    if math.prod(windows.size) <= FEW:
        padded = jnp.pad(x, ((0, 0), *windows.widths, (0, 0)), constant_values=initial)
        return functools.reduce(pairwise, taps(padded, windows.size, windows.stride))
    return lax.reduce_window(
        x,
        np.asarray(initial, x.dtype),
        operation,
        (1, *windows.size, 1),
        (1, *windows.stride, 1),
        ((0, 0), *windows.widths, (0, 0)),
    )


def taps(x: jax.Array, window: Sequence[int], stride: Sequence[int]) -> Iterator[jax.Array]:
    """Yields, in reading order, one pixel of every window: (batch, *outputs, channels)."""
    spans = [(n - k) // s * s + 1 for n, k, s in zip(x.shape[1:-1], window, stride, strict=True)]
    for start in itertools.product(*map(range, window)):
        end = [o + span for o, span in zip(start, spans, strict=True)]
        yield lax.slice(x, (0, *start, 0), (x.shape[0], *end, x.shape[-1]), (1, *stride, 1))


POOLS: Table[Callable[..., jax.Array]] = Table(
    "pooling",
    average=average_pool,
    geometric=geometric_pool,
    harmonic=harmonic_pool,
    max=max_pool,
)
GLOBAL_POOLS: Table[Callable[[jax.Array], jax.Array]] = Table(
    "global pooling", average=global_average_pool, max=global_max_pool
)
