"""Convolution and correlation of two arrays in one, two or three dimensions.

Mathematics flips the kernel, a network does not:

    convolve(x, w)[i]  = sum over j of w[j] * x[i - j]
    correlate(x, w)[i] = sum over j of w[j] * x[i + j]

A network's "convolution" is `correlate`; as its kernels are learned, nobody misses the flip. The
two agree on symmetric kernels only, which most textbook examples use: [1, 2, 3] tells them apart.

`mode` is one of numpy's words, which say how much of the result is kept while nothing lies
beyond the edge, or one of scipy.ndimage's, which say what lies there and keep the input's size:

    full        every place where the two overlap: n + k - 1
    same        the centred part of full: n
    valid       only where the kernel lies inside the input: n - k + 1
    reflect, constant (cval), nearest, mirror, wrap: n, as pictured in `boundary.BOUNDARIES`

Under an even kernel the centre lies between two elements. "same" then starts at element
(k - 1) // 2 of full, as in numpy and scipy.signal; scipy.ndimage's `convolve` starts at k // 2,
and so do its rules here. A network's SAME correlation puts the longer half of its padding last,
scipy's correlation first: on even kernels they differ by one place.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from cnnjax import compiler
from cnnjax.convolution.boundary import BOUNDARIES, extend, floating
from cnnjax.errors import InputError, nearest

NUMPY_MODES = ("full", "same", "valid")
MODES = (*NUMPY_MODES, *BOUNDARIES)


def convolve(x: ArrayLike, kernel: ArrayLike, mode: str = "full", cval: float = 0.0) -> jax.Array:
    """Returns the convolution of `x` with the flipped `kernel`: both 1-D, 2-D or 3-D.

    The result is floating point, float32 at least. Not-a-number and infinity spread to every
    sum they are part of, as in numpy. Raises `InputError` for arrays that are empty or differ in
    dimensions, for an unknown mode, and for a kernel that is larger than `x` where the mode's
    size would have two meanings (same, valid).
    """
    return _slide(x, kernel, mode, cval, flip=True)


def correlate(x: ArrayLike, kernel: ArrayLike, mode: str = "full", cval: float = 0.0) -> jax.Array:
    """Returns the correlation of `x` with `kernel` as it stands; all else as in `convolve`."""
    return _slide(x, kernel, mode, cval, flip=False)


def _slide(x, kernel, mode: str, cval, flip: bool) -> jax.Array:
    x, kernel = operands(x, kernel, mode)
    widths = tuple(_widths(k, mode, flip) for k in kernel.shape)
    if flip:
        kernel = jnp.flip(kernel)
    if mode in NUMPY_MODES:
        return _inside(x, kernel, widths)
    return _valid(extend(x, widths, mode, cval), kernel)


def operands(x: ArrayLike, kernel: ArrayLike, mode: str) -> tuple[jax.Array, jax.Array]:
    """Returns both arrays in one floating-point type, or says why they cannot be convolved."""
    x, kernel = floating(x, "the input"), floating(kernel, "the kernel")
    if x.ndim != kernel.ndim or not 1 <= x.ndim <= 3:
        raise InputError(
            f"input and kernel must have the same 1, 2 or 3 dimensions, got {x.ndim} and "
            f"{kernel.ndim} (shapes {x.shape} and {kernel.shape})"
        )
    if mode not in MODES:
        raise InputError(f"unknown mode {mode!r}{nearest(mode, MODES)}")
    if mode in ("same", "valid") and larger(kernel.shape, x.shape):
        raise InputError(
            f"mode {mode!r} needs a kernel no larger than the input on any axis, got a kernel of "
            f"{kernel.shape} on an input of {x.shape}; mode 'full' takes any sizes"
        )
    dtype = jnp.promote_types(x.dtype, kernel.dtype)
    return x.astype(dtype), kernel.astype(dtype)


def larger(kernel: Sequence[int], shape: Sequence[int]) -> bool:
    """Says whether the kernel exceeds the input on some axis."""
    return any(k > n for k, n in zip(kernel, shape, strict=True))


def _widths(k: int, mode: str, flip: bool) -> tuple[int, int]:
    if mode == "valid":
        return 0, 0
    if mode == "full":
        return k - 1, k - 1
    before, after = k // 2, (k - 1) // 2
    return (after, before) if flip and mode in BOUNDARIES else (before, after)


@compiler.jit
def _valid(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _correlation(x, kernel, ((0, 0),) * x.ndim)


@functools.partial(compiler.jit, static_argnames="widths")
def _inside(x: jax.Array, kernel: jax.Array, widths) -> jax.Array:
    """Correlates over `x` and nothing beyond it.

    Zeros beyond the edge do for a finite kernel, but zero times infinity is not a number.
    """

    def finite(x, kernel):
        return _correlation(x, kernel, widths)

    def infinite(x, kernel):
        tamed = jnp.where(jnp.isfinite(kernel), kernel, jnp.nan_to_num(jnp.sign(kernel)))
        up, down, lost = _meetings(x, kernel, widths)
        total = _correlation(x, tamed, widths) + jnp.where(up, jnp.inf, 0)
        return total - jnp.where(down, jnp.inf, 0) + jnp.where(lost, jnp.nan, 0)

    return lax.cond(jnp.isfinite(kernel).all(), finite, infinite, x, kernel)


def _meetings(x: jax.Array, kernel: jax.Array, widths) -> jax.Array:
    """Says where infinite weights meet pixels of `x`: products of +inf, of -inf, of nan.

    One convolution counts all three: four kinds of pixels, as channels, under three filters.
    """
    plus, minus, neither = kernel == jnp.inf, kernel == -jnp.inf, jnp.zeros_like(kernel, bool)
    pixels = jnp.stack([x > 0, x < 0, x == 0, jnp.ones_like(x, bool)])
    filters = jnp.stack(
        [
            jnp.stack([plus, minus, neither, neither]),
            jnp.stack([minus, plus, neither, neither]),
            jnp.stack([neither, neither, plus | minus, jnp.isnan(kernel)]),
        ]
    )
    ones = (1,) * x.ndim
    counts = lax.conv_general_dilated(
        pixels[None].astype(x.dtype), filters.astype(x.dtype), ones, padding=widths
    )
    return counts[0] > 0.5


def _correlation(x: jax.Array, kernel: jax.Array, widths) -> jax.Array:
    found = lax.conv_general_dilated(
        x[None, None],
        kernel[None, None],
        window_strides=(1,) * x.ndim,
        padding=widths,
        precision=lax.Precision.HIGHEST,
    )
    return found[0, 0]
