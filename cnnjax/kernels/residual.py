"""The end of a residual unit, kept in memory."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cnnjax.kernels.apart import apart
from cnnjax.kernels.door import kernel


@kernel
def relu_kept(x: jax.Array, shortcut: jax.Array) -> jax.Array:
    """Keeps the ReLU of a sum in memory where a gradient is taken.

    The next unit reads it several times; XLA would compute it anew each time, from what the
    shortcut is made of in turn, unit before unit. With `normalised_in_two_sums` the step of
    resnet20 takes 187 ms instead of 206 (two cores of an AMD EPYC).
    """
    return relu_of_sum(x, shortcut)


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
