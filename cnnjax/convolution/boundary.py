"""What lies beyond the edge: the boundary rules of scipy.ndimage, under its names."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cnnjax.convolution import geometry
from cnnjax.errors import InputError
from cnnjax.registry import Table

# scipy.ndimage's word, and numpy.pad's for the same rule. A picture of each, for the input abcd:
BOUNDARIES = Table(
    "boundary rule",
    {
        "reflect": "symmetric",  # d c b a | a b c d | d c b a
        "constant": "constant",  # k k k k | a b c d | k k k k
        "nearest": "edge",  #      a a a a | a b c d | d d d d
        "mirror": "reflect",  #      d c b | a b c d | c b a
        "wrap": "wrap",  #         a b c d | a b c d | a b c d
        "grid-mirror": "symmetric",
        "grid-constant": "constant",
        "grid-wrap": "wrap",
    },
)


def floating(x: ArrayLike, name: str) -> jax.Array:
    """Returns `x` as floating point, float32 at least, so that no integer can overflow.

    Integers and booleans of any width are converted before the arithmetic: uint8 pixels add up
    to what they should. Complex numbers, text and empty arrays raise `InputError`.
    """
    try:
        x = x if hasattr(x, "dtype") else np.asarray(x)
        dtype = jnp.result_type(x)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be an array of numbers, got {type(x).__name__}") from None
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise InputError(f"{name} must be real, got {dtype}; convolve the two parts apart")
    wide = jnp.promote_types(dtype, jnp.float32)
    x = jnp.asarray(x, wide)
    if x.size == 0:
        raise InputError(f"{name} is empty: its shape is {x.shape}")
    return x


def pad(
    x: ArrayLike, padding: int | Sequence, boundary: str = "constant", cval: float = 0.0
) -> jax.Array:
    """Returns `x` grown on every axis by `padding`: a number, or a number or pair for each axis.

    "constant" adds `cval` (zero padding), "nearest" repeats the edge (same-value padding). The
    added part may be longer than `x` itself; the rule then goes on.
    """
    x = floating(x, "the input")
    paddings = geometry.axis_paddings(padding, x.ndim)
    widths = [geometry.padding_widths(n, 1, p) for n, p in zip(x.shape, paddings, strict=True)]
    return extend(x, widths, boundary, cval)


def extend(x: jax.Array, widths: Sequence[tuple[int, int]], boundary: str, cval) -> jax.Array:
    """Returns `x` with `widths` (before, after) elements added to each axis; no checks."""
    rule = BOUNDARIES[boundary]
    if not any(low + high for low, high in widths):
        return x
    options = {"constant_values": cval} if rule == "constant" else {}
    return jnp.pad(x, widths, mode=rule, **options)
