"""Values per channel: spread over all positions, and summed over them.

XLA on a CPU is slow at a sum over all but the last dimension whose terms it computes on the way, as
the statistics of a normalisation and the gradients of a bias are: the loop over positions is the
inner one, and is not vectorised.

Times are of two cores of an Intel Xeon, or of an AMD EPYC where it says so; jax 0.10.2.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from cnnjax.kernels.door import kernel, operation

# XLA gives up computing terms on the way where there are twice as many parts.
PARTS = 8
# Values that a sum over all of them treats as channels.
ROW = 128


@operation
def channel_sum(x: jax.Array) -> jax.Array:
    """Returns the sum over all positions of x (..., channels): (channels,)."""
    return x.reshape(-1, x.shape[-1]).sum(0)


@operation
def spread(per_channel: jax.Array, *, shape: tuple[int, ...]) -> jax.Array:
    """Returns a value per channel, (channels,), at all positions of `shape` (..., channels)."""
    return jnp.broadcast_to(per_channel, shape)


@operation
def square_sum(x: jax.Array) -> jax.Array:
    """Returns the sum of the squares of x, of any shape, as a scalar."""
    return jnp.square(x).sum()


@kernel
def summed_in_parts(x: jax.Array) -> jax.Array:
    """Adds up eight parts term by term, which is vectorised, and then an eighth of the positions.

    The variance of 131,072 positions of 16 channels: 0.34 ms instead of 1.05.
    """
    rows = x.reshape(-1, x.shape[-1])
    return functools.reduce(jnp.add, jnp.split(rows, PARTS)).sum(0)


@kernel
def summed_by_product(x: jax.Array) -> jax.Array:
    """Multiplies with ones: a product takes its terms from memory. For few positions.

    With `squares_in_rows` the step of resnet50 at 64x64 takes 510 ms instead of 557 (AMD).
    """
    rows = x.reshape(-1, x.shape[-1])
    # As a sum does, it adds up half precision in float32.
    wide = jnp.promote_types(x.dtype, jnp.float32)
    ones = jnp.ones(len(rows), x.dtype)
    return jnp.matmul(ones, rows, preferred_element_type=wide).astype(x.dtype)


@kernel
def spread_with_quick_gradient(per_channel: jax.Array, *, shape: tuple[int, ...]) -> jax.Array:
    """Has the gradient of a bias or a scale taken by `channel_sum`.

    The step of mnist_cnn takes 85 ms instead of 105.
    """
    return spread_on_cpu(per_channel, shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def spread_on_cpu(per_channel: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jnp.broadcast_to(per_channel, shape)


def forward(per_channel: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, None]:
    return jnp.broadcast_to(per_channel, shape), None


def backward(shape: tuple[int, ...], _: None, gradient: jax.Array) -> tuple[jax.Array]:
    return (channel_sum(gradient),)


spread_on_cpu.defvjp(forward, backward)


@kernel
def squares_in_rows(x: jax.Array) -> jax.Array:
    """Sums up rows as if they were channels.

    With `summed_by_product` the step of resnet50 at 64x64 takes 510 ms instead of 557 (AMD).
    """
    return channel_sum(jnp.square(x).reshape(-1, ROW)).sum()
