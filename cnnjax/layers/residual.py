"""The end of a residual unit: the sum with its shortcut, and the activation of that."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cnnjax import compiler
from cnnjax.layers.activation import ACTIVATIONS
from cnnjax.layers.apart import apart


def joined(x: jax.Array, shortcut: jax.Array, act: str) -> jax.Array:
    """Returns the activation named `act` of x + shortcut, two arrays of one shape.

    Where a gradient is taken on a CPU the ReLU of a sum is kept in memory. The next unit reads it
    several times; XLA would compute it anew each time, from what the shortcut is made of in turn,
    unit before unit.
    """
    alike = x.dtype == shortcut.dtype and jnp.issubdtype(x.dtype, jnp.floating)
    if act == "relu" and alike and compiler.rewrites():
        return relu_of_sum(x, shortcut)
    return ACTIVATIONS[act](x + shortcut)


@jax.custom_vjp
def relu_of_sum(x: jax.Array, shortcut: jax.Array) -> jax.Array:
    return relu(x, shortcut)


def relu(x: jax.Array, shortcut: jax.Array) -> jax.Array:
    return jax.nn.relu(x + shortcut)


def same_relu(x: jax.Array, shortcut: jax.Array) -> jax.Array:
    """Returns what `relu` does, in other words: XLA is not to see that a choice makes no odds."""
    total = x + shortcut
    return jnp.where(total < 0, 0, total)


def forward(x: jax.Array, shortcut: jax.Array) -> tuple[jax.Array, jax.Array]:
    y = apart(relu, x.shape, x, shortcut, otherwise=same_relu)
    return y, y


def backward(y: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    gradient = jnp.where(y > 0, gradient, 0)
    return gradient, gradient


relu_of_sum.defvjp(forward, backward)
