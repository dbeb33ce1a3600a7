"""Normalisation by the mean and variance of a batch, with a gradient in as few sums as it takes.

The chain rule, followed operation by operation, sums up four maps for a gradient: through the mean
twice, through the variance, the scale and the bias. Two are enough (Ioffe & Szegedy 2015, section
3), and on a CPU each sum reads a map from memory.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax import compiler, parallel
from cnnjax.layers.channels import channel_sum, spread

Normalised = tuple[jax.Array, jax.Array, jax.Array]


def by_moments(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, axis_name: str | None
) -> Normalised:
    """Returns x with a mean of `bias` and a deviation of `scale` per channel, and its moments.

    Args:
      x: (..., channels), float32 or wider.
      scale, bias: (channels,).
      epsilon: added to the variance.
      axis_name: mapped axis over which the moments are averaged, or None.

    Returns:
      The normalised x, and mean and variance (divided by n) of the batch, each (channels,).
    """
    if compiler.rewrites():
        return by_moments_on_cpu(*parallel.alike(x, scale, bias), epsilon, axis_name)
    return plain(x, scale, bias, epsilon, axis_name)


def plain(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, axis_name: str | None
) -> Normalised:
    mean = average(x, axis_name)
    centred = x - spread(mean, x.shape)
    var = average(jnp.square(centred), axis_name)
    factor = lax.rsqrt(var + epsilon) * scale
    return centred * spread(factor, x.shape) + spread(bias, x.shape), mean, var


def average(x: jax.Array, axis_name: str | None) -> jax.Array:
    """Returns the mean per channel, of the batch on all devices."""
    return joint(channel_sum(x) / (x.size // x.shape[-1]), axis_name)


def joint(per_channel: jax.Array, axis_name: str | None) -> jax.Array:
    """Returns the mean over the devices, if there is an axis of them."""
    return per_channel if axis_name is None else parallel.mean(per_channel, axis_name)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def by_moments_on_cpu(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, axis_name: str | None
) -> Normalised:
    return plain(x, scale, bias, epsilon, axis_name)


def forward(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, axis_name: str | None
) -> tuple[Normalised, tuple]:
    y, mean, var = plain(x, scale, bias, epsilon, axis_name)
    return (y, mean, var), (x, scale, bias, mean, var)


def backward(epsilon: float, axis_name: str | None, kept: tuple, gradients: Normalised) -> tuple:
    x, scale, bias, mean, var = kept
    gradient, to_mean, to_var = gradients
    count = x.size // x.shape[-1]
    inverse = lax.rsqrt(var + epsilon)
    centred = x - spread(mean, x.shape)
    to_bias = channel_sum(gradient)
    to_scale = channel_sum(gradient * centred) * inverse
    # Every value moves the mean, by 1 / count, and the variance, by 2 / count of its distance.
    factor = scale * inverse
    through_mean = joint(to_mean - factor * to_bias, axis_name) / count
    through_var = joint(2 * to_var - factor * inverse * to_scale, axis_name) / count
    to_x = (
        gradient * spread(factor, x.shape)
        + centred * spread(through_var, x.shape)
        + spread(through_mean, x.shape)
    )
    return to_x.astype(x.dtype), to_scale.astype(scale.dtype), to_bias.astype(bias.dtype)


by_moments_on_cpu.defvjp(forward, backward)
