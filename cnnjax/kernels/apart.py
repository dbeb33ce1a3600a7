"""Computations that XLA on a CPU is to keep apart from those that use their results."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def apart(
    function: Callable[..., jax.Array],
    shape: tuple[int, ...],
    *arrays: jax.Array,
    otherwise: Callable[..., jax.Array] | None = None,
) -> jax.Array:
    """Returns `function` of the arrays, of `shape`, in a branch, into which XLA merges nothing.

    The branch is not taken when the first number of the last array is nan; then the result is that
    of `otherwise`, or nan.
    """
    first = arrays[-1][(0,) * arrays[-1].ndim]

    def nan(*_: jax.Array) -> jax.Array:
        return jnp.broadcast_to(first, shape)

    return lax.cond(first == first, function, otherwise or nan, *arrays)
