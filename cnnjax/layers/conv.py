"""Convolution layers in 1, 2 and 3 dimensions, channels last.

A layer correlates: the kernel is not flipped, as in every network library. Mathematical
convolution, which flips, is `cnnjax.convolution.convolve`. A *kernel* is the window of weights over
one input channel, a *filter* the stack of kernels that makes one output channel: `kernel[..., m]`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype

from cnnjax.errors import InputError
from cnnjax.layers import fused
from cnnjax.layers.activation import ACTIVATIONS
from cnnjax.layers.correlate import correlate
from cnnjax.layers.initial import INITIALIZERS
from cnnjax.layers.norm import BatchNorm
from cnnjax.layers.residual import joined
from cnnjax.layers.window import Padding, Size, Window, check_fits, each, pad_widths, spatial

# He et al. 2015 (arXiv 1502.01852), equation 10: keeps the variance of a ReLU network. The fan-in
# is what one output sees: the window times the channels of one group.
he_normal = INITIALIZERS["he_normal"]


class Conv(nn.Module):
    """Convolution of (batch, *spatial, channels) with `features` filters.

    Attributes:
      features: output channels.
      kernel: size per spatial dimension, or one for all.
      stride, dilation: steps between windows, and between the taps of one window.
      padding: "valid", "same", "full", "edge" (replicate), "reflect", a width, or (before, after)
        pairs; see `pad_widths`.
      groups: both channel counts are cut into this many groups that do not see each other.
      dtype: of the computation and the result; None: the wider of input and parameters, as in
        Dense. Parameters are float32, or what the variables given hold.

    Parameters: `kernel` (*kernel, channels / groups, features) and `bias` (features,).
    """

    features: int
    kernel: Size = 3
    stride: Size = 1
    padding: Padding = "same"
    dilation: Size = 1
    groups: int = 1
    use_bias: bool = True
    dtype: Any = None
    kernel_init: nn.initializers.Initializer = he_normal
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array, relu: bool = False, **after: jax.Array) -> jax.Array:
        """Returns the convolution of x; `relu` and `after` are those of `correlate`."""
        sizes, channels = spatial(x), x.shape[-1]
        dimensions = len(sizes)
        kernel = each(self.kernel, dimensions, "kernel")
        stride = each(self.stride, dimensions, "stride")
        dilation = each(self.dilation, dimensions, "dilation")
        window = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        widths = pad_widths(self.padding, sizes, window, stride)
        check_fits(sizes, window, widths)
        check_groups(self.groups, channels, self.features)

        shape = (*kernel, channels // self.groups, self.features)
        weights = self.param("kernel", self.kernel_init, shape, jnp.float32)
        bias = None
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,), jnp.float32)
        x, weights, bias = promote_dtype(x, weights, bias, dtype=self.dtype)
        if isinstance(self.padding, str) and self.padding in ("edge", "reflect"):
            x = jnp.pad(x, ((0, 0), *widths, (0, 0)), mode=self.padding)
            widths = ((0, 0),) * dimensions
        if bias is not None:
            after["bias"] = bias + after["bias"] if "bias" in after else bias
        window = Window(stride, widths, dilation, self.groups)
        return correlate(x, weights, window, relu, **after)


def check_groups(groups: int, channels: int, features: int) -> None:
    """Refuses groups that do not divide the channels before and after a convolution."""
    if groups < 1 or features < 1:
        raise InputError(f"features and groups must be positive: {features=}, {groups=}")
    if channels % groups:
        raise InputError(f"the {channels} input channels do not divide into {groups} groups")
    if features % groups:
        raise InputError(f"the {features} features do not divide into {groups} groups")


class DepthwiseConv(nn.Module):
    """Convolution of every channel with `multiplier` kernels of its own.

    Parameters: `kernel` (*kernel, 1, channels * multiplier), `bias`; feature c * multiplier + m is
    the m-th of channel c, as in Keras.
    """

    kernel: Size = 3
    stride: Size = 1
    padding: Padding = "same"
    dilation: Size = 1
    multiplier: int = 1
    use_bias: bool = True
    dtype: Any = None
    kernel_init: nn.initializers.Initializer = he_normal

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        conv = Conv(
            channels * self.multiplier,
            self.kernel,
            self.stride,
            self.padding,
            self.dilation,
            groups=channels,
            use_bias=self.use_bias,
            dtype=self.dtype,
            kernel_init=self.kernel_init,
        )
        nn.share_scope(self, conv)  # the parameters lie directly under this layer's name
        return conv(x)


class SeparableConv(nn.Module):
    """A depthwise convolution, then a pointwise (1x1) one; the only bias comes after both.

    Chollet 2017 (arXiv 1610.02357), section 2. Submodules: `depthwise`, `pointwise`.
    """

    features: int
    kernel: Size = 3
    stride: Size = 1
    padding: Padding = "same"
    dilation: Size = 1
    use_bias: bool = True
    dtype: Any = None
    kernel_init: nn.initializers.Initializer = he_normal

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = DepthwiseConv(
            self.kernel,
            self.stride,
            self.padding,
            self.dilation,
            use_bias=False,
            dtype=self.dtype,
            kernel_init=self.kernel_init,
            name="depthwise",
        )(x)
        return Conv(
            self.features,
            1,
            use_bias=self.use_bias,
            dtype=self.dtype,
            kernel_init=self.kernel_init,
            name="pointwise",
        )(x)


class ConvBN(nn.Module):
    """Convolution, normalisation, activation: the unit of most networks since 2015.

    Attributes:
      norm: a normalisation module without its fields, bound once per network, for example
        `partial(BatchNorm, train=train, epsilon=1e-3)`; None leaves it out.
      act: a name in `ACTIVATIONS`; "linear" for none.
      use_bias: on the convolution; the normalisation has its own.
      Others as in `Conv`.

    Submodules: `conv`, `norm`.
    """

    features: int
    kernel: Size = 3
    stride: Size = 1
    padding: Padding = "same"
    groups: int = 1
    act: str = "relu"
    use_bias: bool = False
    norm: Any = BatchNorm
    dtype: Any = None
    kernel_init: nn.initializers.Initializer = he_normal

    @nn.compact
    def __call__(self, x: jax.Array, shortcut: jax.Array | None = None) -> jax.Array:
        """Returns what the unit makes of x; `shortcut` is added before the activation."""
        conv = Conv(
            self.features,
            self.kernel,
            self.stride,
            self.padding,
            groups=self.groups,
            use_bias=self.use_bias,
            dtype=self.dtype,
            kernel_init=self.kernel_init,
            name="conv",
        )
        norm = None if self.norm is None else self.norm(name="norm")
        if fused.possible(self, norm, x, shortcut):
            return fused.unit(conv, norm, x, shortcut, self.act)
        x = conv(x)
        if norm is not None:
            x = norm(x)
        return ACTIVATIONS[self.act](x) if shortcut is None else joined(x, shortcut, self.act)
