"""Values per channel: spread over all positions, and summed over them.

XLA on a CPU is slow at a sum over all but the last dimension whose terms it computes on the way, as
the statistics of a normalisation and the gradients of a bias are: the loop over positions is the
inner one, and is not vectorised. Eight parts are therefore added up term by term first, which is;
the sum over the positions of what is left is an eighth of the work. Of fewer positions the sum is a
product with ones, which takes its terms from memory. Elsewhere both are as plain as they read.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from cnnjax import compiler

# XLA gives up computing terms on the way where there are twice as many parts.
PARTS = 8
# Values that a sum over all of them treats as channels.
ROW = 128
# Positions below which the parts would only cost, and below which the product would.
FEW, VERY_FEW = 512, 64


def channel_sum(x: jax.Array) -> jax.Array:
    """Returns the sum over all positions of x (..., channels): (channels,)."""
    rows = x.reshape(-1, x.shape[-1])
    if compiler.rewrites() and len(rows) >= FEW and len(rows) % PARTS == 0:
        rows = functools.reduce(jnp.add, jnp.split(rows, PARTS))
    elif compiler.rewrites() and VERY_FEW <= len(rows) < FEW:
        # As a sum does, it adds up half precision in float32.
        wide = jnp.promote_types(x.dtype, jnp.float32)
        ones = jnp.ones(len(rows), x.dtype)
        return jnp.matmul(ones, rows, preferred_element_type=wide).astype(x.dtype)
    return rows.sum(0)


def spread(per_channel: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Returns a value per channel, (channels,), at all positions of `shape` (..., channels)."""
    if compiler.rewrites():
        return spread_on_cpu(per_channel, shape)
    return jnp.broadcast_to(per_channel, shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def spread_on_cpu(per_channel: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jnp.broadcast_to(per_channel, shape)


def forward(per_channel: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, None]:
    return jnp.broadcast_to(per_channel, shape), None


def backward(shape: tuple[int, ...], _: None, gradient: jax.Array) -> tuple[jax.Array]:
    return (channel_sum(gradient),)


spread_on_cpu.defvjp(forward, backward)


def square_sum(x: jax.Array) -> jax.Array:
    """Returns the sum of the squares of x, of any shape, as a scalar."""
    squares = jnp.square(x)
    if compiler.rewrites() and x.size % ROW == 0:
        squares = channel_sum(squares.reshape(-1, ROW))
    return squares.sum()
