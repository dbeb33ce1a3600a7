"""The convolution theorem: the Fourier transform of f * g is that of f times that of g.

A discrete transform takes its input for one period of an endless repetition, so the product of
two transforms is a *circular* convolution. Zeros up to the length n + k - 1 keep the periods
apart; the circular result is then the linear one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cnnjax.convolution import geometry, modes
from cnnjax.convolution.boundary import extend
from cnnjax.errors import InputError


def circular_convolve(x: ArrayLike, kernel: ArrayLike) -> jax.Array:
    """Returns sum over j of kernel[j] * x[(i - j) mod n], in the shape of `x`, by transforms.

    A smaller kernel counts as filled up with zeros; a larger one raises `InputError`. Unlike a
    direct sum, one infinity or not-a-number in either array spreads over the whole result.
    """
    x, kernel = modes.operands(x, kernel, "full")
    if modes.larger(kernel.shape, x.shape):
        raise InputError(
            f"a circular convolution has the period of its input, {x.shape}; the kernel of "
            f"{kernel.shape} is larger"
        )
    return _product(x, kernel, x.shape)


def fft_convolve(
    x: ArrayLike, kernel: ArrayLike, mode: str = "full", cval: float = 0.0
) -> jax.Array:
    """Returns what `modes.convolve` does, for finite arrays, by way of the transforms.

    The rounding error is relative to the largest output, not to each one. `operations` says when
    this way is the shorter.
    """
    x, kernel = modes.operands(x, kernel, mode)
    if mode not in modes.NUMPY_MODES:
        widths = [((k - 1) // 2, k // 2) for k in kernel.shape]
        x, mode = extend(x, widths, mode, cval), "valid"
    sizes = tuple(zip(x.shape, kernel.shape, strict=True))
    full = _product(x, kernel, [_smooth(n + k - 1) for n, k in sizes])
    kept = {
        "full": [(0, n + k - 1) for n, k in sizes],
        "same": [((k - 1) // 2, n) for n, k in sizes],
        "valid": [(k - 1, n - k + 1) for n, k in sizes],
    }[mode]
    return full[tuple(slice(first, first + count) for first, count in kept)]


class Operations(NamedTuple):
    """Floating-point operations of one full convolution, either way."""

    direct: int
    fft: int

    @property
    def cheaper(self) -> str:
        return "fft" if self.fft < self.direct else "direct"


def operations(shape: Sequence[int], kernel: Sequence[int]) -> Operations:
    """Counts both ways: 2 n k against three real transforms of N points at 2.5 N log2 N each.

    The count ignores how well either way runs: XLA's convolutions of one channel reach less of
    a processor's speed than its transforms do, so that in seconds the FFT wins earlier.

    >>> operations((512, 512), (3, 3)).cheaper, operations((512, 512), (31, 31)).cheaper
    ('direct', 'fft')
    """
    axes = len(shape)
    shape = geometry.per_axis(shape, axes, "input size")
    kernel = geometry.per_axis(kernel, axes, "kernel size")
    points = math.prod(_smooth(n + k - 1) for n, k in zip(shape, kernel, strict=True))
    transforms = 3 * 2.5 * points * math.log2(max(points, 2))
    products = 6 * points / 2
    return Operations(2 * math.prod(shape) * math.prod(kernel), round(transforms + products))


def _product(x: jax.Array, kernel: jax.Array, shape: Sequence[int]) -> jax.Array:
    transforms = jnp.fft.rfftn(x, shape) * jnp.fft.rfftn(kernel, shape)
    return jnp.fft.irfftn(transforms, shape).astype(x.dtype)


def _smooth(n: int) -> int:
    """Returns the least number from `n` up with no prime factor over 5, which FFTs like best."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1
