"""What the layers of a graph compute: each function takes (unit, *inputs, train, **fields).

`first` says that channels come right after the batch: such layers are computed channels last.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from cnnjax import layers
from cnnjax.errors import InputError
from cnnjax.kernels import Window
from cnnjax.layers.correlate import correlate
from cnnjax.transfer.activations import Activation, activated
from cnnjax.transfer.graph import Unit


def last(x: jax.Array, first: bool) -> jax.Array:
    """Returns x with its channels last."""
    return jnp.moveaxis(x, 1, -1) if first else x


def back(x: jax.Array, first: bool) -> jax.Array:
    return jnp.moveaxis(x, -1, 1) if first else x


def convolution(
    unit: Unit, x: Any, *, train: bool, first: bool, act: Activation, **fields: Any
) -> jax.Array:
    x = unit.shared(layers.Conv(**fields))(last(x, first))
    return activated(back(x, first), act)


def transposed(
    unit: Unit, x: Any, *, train: bool, first: bool, act: Activation, features: int,
    kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...],
    padding: tuple[tuple[int, int], ...], use_bias: bool,
) -> jax.Array:  # fmt: skip
    """A correlation of x, whose values lie `stride` apart, with zeros between.

    `padding` is (before, after) of that; the kernel, (*kernel, channels, features), lies flipped.
    """
    x = last(x, first)
    shape = (*kernel, x.shape[-1], features)
    weights = unit.param("kernel", layers.he_normal, shape, jnp.float32)
    apart = [(*widths, s - 1) for widths, s in zip(padding, stride, strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *apart, (0, 0, 0)])
    window = Window((1,) * len(kernel), ((0, 0),) * len(kernel), dilation, 1)
    x = correlate(x, weights, window)
    if use_bias:
        x = x + unit.param("bias", nn.initializers.zeros, (features,), jnp.float32)
    return activated(back(x, first), act)


def depthwise(
    unit: Unit, x: Any, *, train: bool, first: bool, act: Activation, **fields: Any
) -> jax.Array:
    x = unit.shared(layers.DepthwiseConv(**fields))(last(x, first))
    return activated(back(x, first), act)


def separable(
    unit: Unit, x: Any, *, train: bool, first: bool, act: Activation, features: int,
    use_bias: bool, **fields: Any,
) -> jax.Array:  # fmt: skip
    x = layers.DepthwiseConv(use_bias=False, name="depthwise", **fields)(last(x, first))
    x = layers.Conv(features, 1, use_bias=use_bias, name="pointwise")(x)
    return activated(back(x, first), act)


def dense(
    unit: Unit, x: Any, *, train: bool, act: Activation, features: int, use_bias: bool
) -> jax.Array:
    return activated(unit.shared(layers.Dense(features, use_bias=use_bias))(x), act)


def pooling(unit: Unit, x: Any, *, train: bool, first: bool, kind: str, **fields: Any) -> jax.Array:
    return back(layers.POOLS[kind](last(x, first), **fields), first)


def global_pooling(
    unit: Unit, x: Any, *, train: bool, first: bool, kind: str, keep: bool
) -> jax.Array:
    rank = x.ndim
    x = layers.GLOBAL_POOLS[kind](last(x, first))
    if keep:
        x = back(x.reshape(x.shape[0], *(1,) * (rank - 2), -1), first)
    return x


def flatten(unit: Unit, x: Any, *, train: bool, first: bool) -> jax.Array:
    return last(x, first and x.ndim > 2).reshape(x.shape[0], -1)


def reshape(unit: Unit, x: Any, *, train: bool, shape: tuple[int, ...]) -> jax.Array:
    return x.reshape(x.shape[0], *shape)


def permute(unit: Unit, x: Any, *, train: bool, order: tuple[int, ...]) -> jax.Array:
    return x.transpose(0, *order)


def repeat(unit: Unit, x: Any, *, train: bool, times: int) -> jax.Array:
    return jnp.repeat(x[:, None], times, 1)


def identity(unit: Unit, x: Any, *, train: bool) -> jax.Array:
    return x


def activation(unit: Unit, x: Any, *, train: bool, act: Activation) -> jax.Array:
    return activated(x, act)


def parametric_relu(unit: Unit, x: Any, *, train: bool, shared: tuple[int, ...]) -> jax.Array:
    """He et al. 2015 (arXiv 1502.01852): a learnt slope, one for all along the axes `shared`."""
    shape = tuple(1 if axis in shared else n for axis, n in enumerate(x.shape[1:], 1))
    slope = unit.param("alpha", nn.initializers.zeros, shape, jnp.float32)
    return jnp.maximum(x, 0) - slope[None] * jnp.maximum(-x, 0)


def rescaling(unit: Unit, x: Any, *, train: bool, scale: Any, offset: Any) -> jax.Array:
    return x * jnp.asarray(scale, x.dtype) + jnp.asarray(offset, x.dtype)


def standardisation(
    unit: Unit, x: Any, *, train: bool, axes: tuple[int, ...], invert: bool, fixed: Any
) -> jax.Array:
    """Keras' Normalization: by a mean and a variance that were adapted to data beforehand.

    `fixed`: (mean, variance), where the config itself has them.
    """
    axes = tuple(axis % x.ndim for axis in axes)
    kept = tuple(x.shape[axis] for axis in axes)
    shape = tuple(n if axis in axes else 1 for axis, n in enumerate(x.shape))
    if fixed is None:
        mean = unit.variable("batch_stats", "mean", jnp.zeros, kept, jnp.float32).value
        var = unit.variable("batch_stats", "var", jnp.ones, kept, jnp.float32).value
    else:
        mean, var = (jnp.broadcast_to(jnp.asarray(values, jnp.float32), kept) for values in fixed)
    mean, deviation = mean.reshape(shape), jnp.maximum(jnp.sqrt(var.reshape(shape)), 1e-7)
    return mean + x * deviation if invert else (x - mean) / deviation


def batch_norm(unit: Unit, x: Any, *, train: bool, axis: int, **fields: Any) -> jax.Array:
    norm = layers.BatchNorm(train=train, axis_name=unit.axis_name, **fields)
    return jnp.moveaxis(unit.shared(norm)(jnp.moveaxis(x, axis, -1)), -1, axis)


def layer_norm(
    unit: Unit, x: Any, *, train: bool, axes: tuple[int, ...], epsilon: float,
    use_scale: bool, use_bias: bool,
) -> jax.Array:  # fmt: skip
    axes = tuple(sorted(axis % x.ndim for axis in axes))
    shape = tuple(x.shape[axis] for axis in axes)
    spread = tuple(n if axis in axes else 1 for axis, n in enumerate(x.shape))
    x = x - x.mean(axes, keepdims=True)
    x = x * lax.rsqrt(jnp.square(x).mean(axes, keepdims=True) + epsilon)
    if use_scale:
        x = x * unit.param("scale", nn.initializers.ones, shape, jnp.float32).reshape(spread)
    if use_bias:
        x = x + unit.param("bias", nn.initializers.zeros, shape, jnp.float32).reshape(spread)
    return x


def group_norm(
    unit: Unit, x: Any, *, train: bool, axis: int, groups: int, **fields: Any
) -> jax.Array:
    x = jnp.moveaxis(x, axis, -1)
    groups = x.shape[-1] if groups == -1 else groups
    return jnp.moveaxis(unit.shared(layers.GroupNorm(groups, **fields))(x), -1, axis)


def unit_norm(unit: Unit, x: Any, *, train: bool, axes: tuple[int, ...]) -> jax.Array:
    return x * lax.rsqrt(jnp.maximum(jnp.square(x).sum(axes, keepdims=True), 1e-24))


def padding(unit: Unit, x: Any, *, train: bool, first: bool, widths: Any) -> jax.Array:
    return back(jnp.pad(last(x, first), ((0, 0), *widths, (0, 0))), first)


def cropping(unit: Unit, x: Any, *, train: bool, first: bool, widths: Any) -> jax.Array:
    x = last(x, first)
    for axis, (before, after) in enumerate(widths, 1):
        if before + after >= x.shape[axis]:
            raise InputError(f"{before} and {after} pixels cannot be cut from {x.shape[axis]}")
        x = lax.slice_in_dim(x, before, x.shape[axis] - after, axis=axis)
    return back(x, first)


def upsampling(
    unit: Unit, x: Any, *, train: bool, first: bool, size: tuple[int, ...], method: str
) -> jax.Array:
    x = last(x, first)
    if method == "nearest":
        for axis, times in enumerate(size, 1):
            x = jnp.repeat(x, times, axis)
    else:
        places = [n * times for n, times in zip(x.shape[1:-1], size, strict=True)]
        x = jax.image.resize(x, (x.shape[0], *places, x.shape[-1]), method)
    return back(x, first)


def resizing(unit: Unit, x: Any, *, train: bool, first: bool, size: tuple[int, int]) -> jax.Array:
    x = last(x, first)
    shape = (x.shape[0], *size, x.shape[-1])
    return back(jax.image.resize(x, shape, "bilinear", antialias=False), first)


def dropout(
    unit: Unit, x: Any, *, train: bool, rate: float, channels: bool = False, first: bool = False
) -> jax.Array:
    """`channels`: a channel of an example is dropped as a whole (Tompson et al. 2015)."""
    drop = layers.Dropout(rate, train, unit.axis_name)
    if not channels:
        return drop(x)
    axis = 1 if first else x.ndim - 1
    shape = tuple(n if i in (0, axis) else 1 for i, n in enumerate(x.shape))
    return x * drop(jnp.ones(shape, x.dtype))


def noise(unit: Unit, x: Any, *, train: bool, kind: str, amount: float) -> jax.Array:
    """Noise that training alone knows; `amount` is a deviation, or a rate as in dropout.

    gaussian: added; factor: multiplied (Srivastava et al. 2014, section 10); alpha: dropout that
    keeps mean and variance of SELU (Klambauer et al. 2017, arXiv 1706.02515).
    """
    if not train or not amount:
        return x
    if kind == "alpha":
        lowest = -1.6732632423543772 * 1.0507009873554805
        scale = ((1 - amount) * (1 + amount * lowest**2)) ** -0.5
        kept = layers.Dropout(amount, train, unit.axis_name)(jnp.ones_like(x)) > 0
        return scale * (jnp.where(kept, x, lowest) - lowest * amount)
    draws = jax.random.normal(unit.make_rng("dropout"), x.shape, x.dtype)
    if kind == "gaussian":
        return x + amount * draws
    return x * (1 + math.sqrt(amount / (1 - amount)) * draws)
