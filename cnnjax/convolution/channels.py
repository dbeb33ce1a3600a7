"""Convolution as a network has it: colour in, feature maps out.

Words: a *kernel* is a window of weights over one channel, K x K. A *filter* is a stack of
kernels, one for each channel of its input, K x K x C; it makes one feature map. A layer holds M
filters in one array of K x K x C x M (HWIO), from C channels to M feature maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from cnnjax.convolution import geometry
from cnnjax.convolution.boundary import extend, floating
from cnnjax.errors import InputError

LAYOUTS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


def feature_maps(
    image: ArrayLike,
    filters: ArrayLike,
    stride: int | Sequence[int] = 1,
    padding: geometry.Padding = "valid",
    dilation: int | Sequence[int] = 1,
    boundary: str = "constant",
    cval: float = 0.0,
) -> jax.Array:
    """Returns the maps (height', width', M) of an image (height, width, C) under M filters.

    `filters` is (K, K, C, M); one axis less or more serves signals (length, C) and volumes
    (depth, height, width, C). The filters are *not* flipped: this correlates, as every network
    does. There is no batch axis: `jax.vmap` adds one. `padding` is read by
    `geometry.padding_widths`, on each axis; what is added follows the `boundary` rule.
    """
    image, filters = floating(image, "the image"), floating(filters, "the filters")
    axes = filters.ndim - 2
    if axes not in LAYOUTS or image.ndim != axes + 1:
        raise InputError(
            "filters must be (*kernel, channels, filters) over 1, 2 or 3 axes and the image "
            f"(*size, channels), got the shapes {filters.shape} and {image.shape}"
        )
    if image.shape[-1] != filters.shape[-2]:
        raise InputError(
            f"the image has {image.shape[-1]} channels and the filters have kernels for "
            f"{filters.shape[-2]}: a filter needs one kernel for each channel"
        )
    columns = tuple(
        zip(
            image.shape[:axes],
            filters.shape[:axes],
            geometry.axis_paddings(padding, axes),
            geometry.per_axis(stride, axes, "stride"),
            geometry.per_axis(dilation, axes, "dilation"),
            strict=True,
        )
    )
    for axis in columns:
        geometry.output_size(*axis)  # raises where nothing would come out
    widths = [geometry.padding_widths(*axis) for axis in columns]
    dtype = jnp.promote_types(image.dtype, filters.dtype)
    padded = extend(image.astype(dtype), [*widths, (0, 0)], boundary, cval)
    found = lax.conv_general_dilated(
        padded[None],
        filters.astype(dtype),
        window_strides=[axis[3] for axis in columns],
        padding="VALID",
        rhs_dilation=[axis[4] for axis in columns],
        dimension_numbers=LAYOUTS[axes],
        precision=lax.Precision.HIGHEST,
    )
    return found[0]


def channels_last(image: ArrayLike, layout: str = "channels_last") -> jax.Array:
    """Returns an image as (height, width, channels), whichever `layout` it comes in.

    "channels_first" is (channels, height, width), Theano's and PyTorch's order and Keras' other
    one. A gray image (height, width) gets one channel in either.
    """
    if layout not in ("channels_first", "channels_last"):
        raise InputError(f"layout must be channels_first or channels_last, got {layout!r}")
    image = jnp.asarray(image)
    if image.ndim not in (2, 3):
        raise InputError(f"an image has two axes or three, got the shape {image.shape}")
    if image.ndim == 2:
        return image[..., None]
    return jnp.moveaxis(image, 0, -1) if layout == "channels_first" else image


def layer_filters(params: Mapping) -> jax.Array:
    """Returns the filters of a convolution layer's parameters: `layer_filters(params)[..., m]`.

    Filter m is K x K x C, and its kernel for channel c is `[..., c, m]`. Flax calls the whole
    array "kernel"; parameters without one, or with that of a dense layer, raise `InputError`.
    """
    if "kernel" not in params:
        raise InputError(f"these parameters hold no kernel, only {', '.join(params) or 'nothing'}")
    weights = params["kernel"]
    if weights.ndim - 2 not in LAYOUTS:
        raise InputError(
            f"the kernel of a convolution is (*kernel, channels, filters), got {weights.shape}"
        )
    return weights
