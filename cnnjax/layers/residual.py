"""The end of a residual unit: the sum with its shortcut, and the activation of that."""

from __future__ import annotations

import jax

from cnnjax import kernels
from cnnjax.layers.activation import ACTIVATIONS


def joined(x: jax.Array, shortcut: jax.Array, act: str) -> jax.Array:
    """Returns the activation named `act` of x + shortcut, two arrays of one shape."""
    return activated_sum(x, shortcut, act=act)


@kernels.operation
def activated_sum(x: jax.Array, shortcut: jax.Array, *, act: str) -> jax.Array:
    return ACTIVATIONS[act](x + shortcut)
