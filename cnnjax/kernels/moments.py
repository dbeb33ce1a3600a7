"""The gradient of a normalisation by moments, in as few sums as it takes.

The chain rule, followed operation by operation, sums up four maps for a gradient: through the mean
twice, through the variance, the scale and the bias. Two are enough (Ioffe & Szegedy 2015, section
3), and on a CPU each sum reads a map from memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
from jax import lax

from cnnjax import parallel
from cnnjax.kernels.door import kernel
from cnnjax.kernels.sums import channel_sum, spread

Normalised = tuple[jax.Array, jax.Array, jax.Array]
Plain = Callable[..., Normalised]


@kernel
def normalised_in_two_sums(
    plain: Plain,
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    *,
    epsilon: float,
    axis_name: str | None,
) -> Normalised:
    """Takes the gradient of `normalised` in two sums.

    With `relu_kept` the step of resnet20 takes 187 ms instead of 206 (two cores of an AMD EPYC).
    """
    return normalised_on_cpu(*parallel.alike(x, scale, bias), plain, epsilon, axis_name)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def normalised_on_cpu(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    plain: Plain,
    epsilon: float,
    axis_name: str | None,
) -> Normalised:
    return plain(x, scale, bias, epsilon=epsilon, axis_name=axis_name)


def forward(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    plain: Plain,
    epsilon: float,
    axis_name: str | None,
) -> tuple[Normalised, tuple]:
    y, mean, var = plain(x, scale, bias, epsilon=epsilon, axis_name=axis_name)
    return (y, mean, var), (x, scale, bias, mean, var)


def backward(
    _: Plain, epsilon: float, axis_name: str | None, kept: tuple, gradients: Normalised
) -> tuple:
    x, scale, bias, mean, var = kept
    gradient, to_mean, to_var = gradients
    count = x.size // x.shape[-1]
    inverse = lax.rsqrt(var + epsilon)
    centred = x - spread(mean, shape=x.shape)
    to_bias = channel_sum(gradient)
    to_scale = channel_sum(gradient * centred) * inverse
    # Every value moves the mean, by 1 / count, and the variance, by 2 / count of its distance.
    factor = scale * inverse
    through_mean = joint(to_mean - factor * to_bias, axis_name) / count
    through_var = joint(2 * to_var - factor * inverse * to_scale, axis_name) / count
    to_x = (
        gradient * spread(factor, shape=x.shape)
        + centred * spread(through_var, shape=x.shape)
        + spread(through_mean, shape=x.shape)
    )
    return to_x.astype(x.dtype), to_scale.astype(scale.dtype), to_bias.astype(bias.dtype)


normalised_on_cpu.defvjp(forward, backward)


def joint(per_channel: jax.Array, axis_name: str | None) -> jax.Array:
    """Returns the mean over the devices, if there is an axis of them."""
    return per_channel if axis_name is None else parallel.mean(per_channel, axis_name)
