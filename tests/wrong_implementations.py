"""Implementations with one mistake each, for the checks of `cnnjax.verification` to catch."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from cnnjax import convolution, data, layers, models
from cnnjax.models import resnet
from cnnjax.registry import Table
from cnnjax.report import summary
from cnnjax.verification import parameters


def unflipped(x, kernel, mode="full", cval=0.0):
    return convolution.correlate(x, kernel, mode, cval)


def flipped(x, kernel, mode="full", cval=0.0):
    return convolution.convolve(x, kernel, mode, cval)


def shifted(x, kernel, mode="full", cval=0.0):
    return jnp.roll(convolution.convolve(x, kernel, mode, cval), 1)


def zeros_beyond(x, kernel, mode="full", cval=0.0):
    known = ("full", "same", "valid")
    return convolution.convolve(x, kernel, mode if mode in known else "same", cval)


def one_dimension(x, kernel, mode="full", cval=0.0):
    found = convolution.convolve(np.ravel(x), np.ravel(kernel), mode, cval)
    return found if np.ndim(x) == 1 else found.reshape(1, -1)


def wrapped(x, kernel):
    """A linear convolution cut to the input: what comes around is lost."""
    return convolution.convolve(x, kernel)[tuple(slice(n) for n in x.shape)]


def half_sobel(image, mode="reflect"):
    right = convolution.sobel(image, mode)
    return convolution.Gradient(right.x / 2, right.y)


def turned_sobel(image, mode="reflect"):
    right = convolution.sobel(image, mode)
    return convolution.Gradient(right.y, right.x)


def flipped_maps(image, filters, **options):
    return convolution.feature_maps(image, filters[::-1, ::-1], **options)


def first_channel_only(image, filters, **options):
    return convolution.feature_maps(image[..., :1], filters[..., :1, :], **options)


def mixed_maps(image, filters, **options):
    found = convolution.feature_maps(image, filters, **options)
    return found + found.mean(-1, keepdims=True) * (filters.shape[-1] > 1)


def never_padded(image, filters, padding="valid"):
    return convolution.feature_maps(image, filters)


def first_filter_of_transpose(params):
    return jax.eval_shape(jnp.transpose, convolution.layer_filters(params))


def patches_backwards(image, kernel, *arguments, **options):
    return convolution.patches(image, kernel, *arguments, **options)[::-1]


def no_plus_one(n, k, p=0, s=1, d=1):
    return (n + 2 * p - k) // s if isinstance(p, int) else 0


def rounded_up(n, k, p=0, s=1, d=1):
    return -(-(n + 2 * p - k) // s) + 1


def padded_once(n, k, p=0, s=1, d=1):
    return (n + p - k) // s + 1


def transposed_shape(shape, kernel, padding=0, stride=1, dilation=1):
    return convolution.output_shape(shape[::-1], kernel, padding, stride, dilation)


def stride_of_two(*arguments, **options):
    return layers.Conv(*arguments, **{"stride": 2, **options})


def always_padded(*arguments, **options):
    """A convolution that pads "same" whatever it is told."""
    return layers.Conv(*arguments[:3], padding="same", **options)


class PaddedBefore(nn.Module):
    """A convolution whose "same" puts the odd zero first, as no library does."""

    features: int
    kernel: tuple[int, ...] = (3,)
    stride: int = 1
    padding: str = "same"
    use_bias: bool = True

    @nn.compact
    def __call__(self, x):
        dimensions = x.ndim - 2
        kernel = (self.kernel,) * dimensions if isinstance(self.kernel, int) else self.kernel
        padding = self.padding
        if padding == "same":
            sizes = zip(x.shape[1:-1], kernel, strict=True)
            pairs = [convolution.padding_widths(n, k, "same", self.stride) for n, k in sizes]
            padding = tuple(pair[::-1] for pair in pairs)
        layer = layers.Conv(self.features, kernel, self.stride, padding, use_bias=self.use_bias)
        return nn.share_scope(self, layer) or layer(x)


class FlippedConv(nn.Module):
    """A convolution that flips its kernel."""

    features: int
    kernel: int = 3
    stride: int = 1
    padding: str = "valid"
    use_bias: bool = True

    @nn.compact
    def __call__(self, x):
        kernel = self.kernel if isinstance(self.kernel, tuple) else (self.kernel,) * (x.ndim - 2)
        weights = self.param("kernel", layers.he_normal, (*kernel, x.shape[-1], self.features))
        layer = layers.Conv(self.features, kernel, self.stride, self.padding, use_bias=False)
        axes = range(len(kernel))
        return layer.apply({"params": {"kernel": jnp.flip(weights, axes)}}, x)


def averaging(x, window=2, stride=None, **options):
    return layers.average_pool(x, window, stride, **options)


def ceiled(x, window=2, stride=None):
    return layers.max_pool(x, window, stride, ceil_mode=True)


def unguarded_harmonic(x, window=2):
    return 1 / layers.average_pool(1 / x, window)


def unguarded_geometric(x, window=2):
    return jnp.exp(layers.average_pool(jnp.log(x), window))


class WeightedPool(nn.Module):
    """A pooling with a weight: LeNet's, not S4's."""

    @nn.compact
    def __call__(self, x):
        return layers.average_pool(x, 2) * self.param("scale", nn.initializers.ones, ())


def one_too_many(name, shape):
    """Adds a weight to every layer."""
    rows = parameters.rows_of(name, shape)
    return [dataclasses.replace(row, trainable=row.trainable + 1) for row in rows]


def commas_lost(title, rows):
    return summary.table(title, rows).replace(",", "")


class WithBias(nn.Module):
    """A dense layer with one bias for all its outputs."""

    features: int

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", layers.he_normal, (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return x @ kernel + bias.mean()


class Flattening(nn.Module):
    """A dense layer that flattens on its own."""

    features: int

    @nn.compact
    def __call__(self, x):
        return layers.Dense(self.features)(x.reshape(len(x), -1))


class NoShortcut(nn.Module):
    """A residual block that forgot its shortcut."""

    features: int
    stride: int
    unit: object

    @nn.compact
    def __call__(self, x):
        block = resnet.Basic(self.features, self.stride, self.unit)
        return block(x) - nn.relu(x)


def wide_convnet():
    return other("first_convnet", blocks=((32,), (64,)))("first_convnet", classes=10)


def linear_classifier():
    return nn.Sequential([lambda x: x.reshape(len(x), -1), layers.Dense(10)])


def inverted_dropout(rate, train=False):
    return layers.Dropout(1 - rate, train)


def with_activation(name, function):
    return Table("activation", {**layers.ACTIVATIONS, name: function})


def other(network, **fields):
    """A `models.build` that changes the fields of one network."""

    def build(name, **options):
        return models.build(name, **{**options, **(fields if name == network else {})})

    return build


def scaled_by_256(images, *statistics):
    return data.normalize(images, *statistics) * 255 / 256


def no_switch(image, layout="channels_last"):
    return convolution.channels_last(image)


def adadelta_of_optax(**options):
    """Ignores the rho that it is given."""
    return optax.adadelta(**{**options, "rho": 0.9})


wider = other("first_convnet", blocks=((33,), (65,), (66,)), units=(63,))
