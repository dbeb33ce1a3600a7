"""Pooling layers over the spatial dimensions of (batch, *spatial, channels).

On positive inputs harmonic <= geometric <= average <= maximum. Averages are taken in float32 or
wider and returned in the input's dtype (integers: in float32).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnnjax import kernels
from cnnjax.errors import InputError
from cnnjax.layers.window import Padding, Size, Widths, by, check_fits, each, pad_widths, spatial
from cnnjax.registry import Table

# Geometric and harmonic averages exist for positive numbers. Values are raised to this guard first,
# so that zeros and negative inputs give the guard's average and a zero gradient instead of nan.
GUARD = 1e-6

Sizes = tuple[int, ...]


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
    placed = place(x, window, stride, padding, ceil_mode)
    return largest(x, size=placed.size, stride=placed.stride, padding=placed.widths)


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
    total = added(values, size=placed.size, stride=placed.stride, padding=placed.widths)
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


@kernels.operation
def largest(x: jax.Array, *, size: Sizes, stride: Sizes, padding: Widths) -> jax.Array:
    """Returns the largest value of each window of x (batch, *spatial, channels)."""
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.iinfo(x.dtype).min
    return reduce_windows(x, lowest, lax.max, size, stride, padding)


@kernels.operation
def added(x: jax.Array, *, size: Sizes, stride: Sizes, padding: Widths) -> jax.Array:
    """Returns the sum of each window of x (batch, *spatial, channels)."""
    return reduce_windows(x, 0.0, lax.add, size, stride, padding)


def reduce_windows(
    x: jax.Array,
    initial: float,
    operation: Callable[..., jax.Array],
    size: Sizes,
    stride: Sizes,
    padding: Widths,
) -> jax.Array:
    """Reduces each window by `operation`, from `initial`, which is also what padding holds."""
    return lax.reduce_window(
        x,
        np.asarray(initial, x.dtype),
        operation,
        (1, *size, 1),
        (1, *stride, 1),
        ((0, 0), *padding, (0, 0)),
    )


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
