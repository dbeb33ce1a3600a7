"""Normalisation layers.

Statistics are taken in float32 or wider and parameters are float32, or what the variables given
hold. Variances are the biased ones (divided by n), of centred values: the difference of two large
squares would lose them where the mean is far from zero.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from cnnjax import kernels, parallel
from cnnjax.errors import InputError
from cnnjax.kernels import channel_sum, spread
from cnnjax.registry import Table


class BatchNorm(nn.Module):
    """Normalises each channel by its statistics over the batch (Ioffe & Szegedy 2015, 1502.03167).

    Attributes:
      train: True normalises by the batch and moves the running averages (collection `batch_stats`,
        which must then be mutable); False normalises by the running averages and keeps them.
      momentum: running = momentum * running + (1 - momentum) * batch, as in Keras; PyTorch's
        momentum is one minus this.
      epsilon: added to the variance.
      axis_name: mapped axis over which the statistics are averaged, so that they are those of the
        global batch; None when there is no such axis.
      dtype: of the result; None: that of the input.

    Parameters: `scale`, `bias`; statistics: `mean`, `var`; each (channels,).
    """

    train: bool = False
    momentum: float = 0.9
    epsilon: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    axis_name: str | None = None
    dtype: Any = None
    scale_init: nn.initializers.Initializer = nn.initializers.ones

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = (x.shape[-1],)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        values = widened(x)
        scale, bias = jnp.ones(channels, values.dtype), jnp.zeros(channels, values.dtype)
        if self.use_scale:
            scale = self.param("scale", self.scale_init, channels, jnp.float32)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
        if self.train:
            axis_name = None if self.is_initializing() else self.axis_name
            values, mean, var = normalised(
                values, scale, bias, epsilon=self.epsilon, axis_name=axis_name
            )
            if not self.is_initializing():
                running_mean.value = self.moved(running_mean.value, mean)
                running_var.value = self.moved(running_var.value, var)
        else:
            factor = lax.rsqrt(running_var.value + self.epsilon) * scale
            values = values - spread(running_mean.value, shape=x.shape)
            values = values * spread(factor, shape=x.shape) + spread(bias, shape=x.shape)
        return values.astype(self.dtype or x.dtype)

    def constants(self) -> dict[str, jax.Array]:
        """Returns what evaluation adds first, multiplies with and adds at last: see `correlate`.

        Each is (channels,); to be called where the variables are there already.
        """
        mean, var = (self.get_variable("batch_stats", name) for name in ("mean", "var"))
        values = {"bias": -mean, "scale": lax.rsqrt(var + self.epsilon)}
        if self.use_scale:
            values["scale"] = values["scale"] * self.get_variable("params", "scale")
        if self.use_bias:
            values["shift"] = self.get_variable("params", "bias")
        return values

    def moved(self, running: jax.Array, batch: jax.Array) -> jax.Array:
        """Returns the running average after a batch, in its own dtype."""
        average = self.momentum * running + (1 - self.momentum) * batch
        return average.astype(running.dtype)


@kernels.operation
def normalised(
    x: jax.Array, scale: jax.Array, bias: jax.Array, *, epsilon: float, axis_name: str | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns x with a mean of `bias` and a deviation of `scale` per channel, and its moments.

    Args:
      x: (..., channels), float32 or wider.
      scale, bias: (channels,).
      epsilon: added to the variance.
      axis_name: mapped axis over which the moments are averaged, or None.

    Returns:
      The normalised x, and mean and variance (divided by n) of the batch, each (channels,).
    """
    mean = average(x, axis_name)
    centred = x - spread(mean, shape=x.shape)
    var = average(jnp.square(centred), axis_name)
    factor = lax.rsqrt(var + epsilon) * scale
    return centred * spread(factor, shape=x.shape) + spread(bias, shape=x.shape), mean, var


def average(x: jax.Array, axis_name: str | None) -> jax.Array:
    """Returns the mean per channel, of the batch on all devices."""
    mean = channel_sum(x) / (x.size // x.shape[-1])
    return mean if axis_name is None else parallel.mean(mean, axis_name)


class GroupNorm(nn.Module):
    """Normalises groups of channels of one image by their own mean and variance.

    Wu & He 2018 (arXiv 1803.08494). One group is layer normalisation over height, width and
    channels (Ba et al. 2016, arXiv 1607.06450), with gain and bias per channel.

    Attributes:
      groups: None: the paper's 32 or, where they do not divide the channels, the greatest common
        divisor of the two.
      Others as in `BatchNorm`.

    Parameters: `scale`, `bias`, each (channels,).
    """

    groups: int | None = None
    epsilon: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    dtype: Any = None
    scale_init: nn.initializers.Initializer = nn.initializers.ones

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        groups = math.gcd(32, channels) if self.groups is None else self.groups
        if groups < 1 or channels % groups:
            raise InputError(f"{channels} channels do not divide into {groups} groups")
        values = widened(x).reshape(x.shape[0], -1, groups, channels // groups)
        values = values - values.mean((1, 3), keepdims=True)
        var = jnp.square(values).mean((1, 3), keepdims=True)
        values = (values * lax.rsqrt(var + self.epsilon)).reshape(x.shape)
        if self.use_scale:
            values = values * self.param("scale", self.scale_init, (channels,), jnp.float32)
        if self.use_bias:
            values = values + self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        return values.astype(self.dtype or x.dtype)


@jax.named_scope("local_response_norm")
def local_response_norm(
    x: jax.Array, size: int = 5, bias: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> jax.Array:
    """Divides each value by a power of the squares summed over `size` neighbouring channels.

    Krizhevsky et al. 2012, section 3.3, with its letters: b = a / (k + alpha * sum a^2)^beta and
    k = `bias`. PyTorch divides alpha by `size` first: pass alpha / size for its function. An even
    size reaches one channel further down than up, as there.
    """
    if size < 1:
        raise InputError(f"the size of a local response normalisation must be positive: {size}")
    values = widened(x)
    below, above = size // 2, (size - 1) // 2
    padding = ((0, 0),) * (x.ndim - 1) + ((below, above),)
    window = (1,) * (x.ndim - 1) + (size,)
    total = lax.reduce_window(jnp.square(values), 0.0, lax.add, window, (1,) * x.ndim, padding)
    return (values / (bias + alpha * total) ** beta).astype(x.dtype)


def widened(x: jax.Array) -> jax.Array:
    """Returns `x` in float32 or wider."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


# What NORMS binds. Only batch normalisation has a momentum and depends on training; the others
# ignore both, so that a network says them once.
def batch(train: bool, axis_name: str | None, **fields: Any) -> Callable[..., nn.Module]:
    return functools.partial(BatchNorm, train=train, axis_name=axis_name, **fields)


def group(
    train: bool, axis_name: str | None, momentum: float = 0.0, **fields: Any
) -> Callable[..., nn.Module]:
    return functools.partial(GroupNorm, **fields)


def layer(
    train: bool, axis_name: str | None, momentum: float = 0.0, **fields: Any
) -> Callable[..., nn.Module]:
    return functools.partial(GroupNorm, groups=1, **fields)


def none(train: bool, axis_name: str | None, **fields: Any) -> None:
    return None


# name -> function of (train, axis_name, **BatchNorm fields) that binds the layer for a network.
NORMS: Table[Callable[..., Callable[..., nn.Module] | None]] = Table(
    "normalisation", batch=batch, group=group, layer=layer, none=none
)
