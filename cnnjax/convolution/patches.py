"""The windows that a kernel visits, cut out one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cnnjax.convolution import geometry
from cnnjax.convolution.boundary import extend, floating
from cnnjax.errors import InputError


def windows(
    x: jax.Array | np.ndarray, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> jax.Array:
    """Returns every window over the leading axes of `x`: shape (*positions, *kernel, *rest).

    An element is copied, never multiplied, so that infinities stay where they are.
    """
    axes = len(kernel)
    for axis, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True)):
        positions = geometry.output_size(x.shape[axis], k, 0, s, d)
        taken = np.arange(positions)[:, None] * s + np.arange(k) * d
        # The window's own axis goes behind the positions of the axes still to come.
        x = jnp.moveaxis(jnp.take(x, taken, axis=axis), axis + 1, axes + axis)
    return jnp.asarray(x)


def patches(
    image: ArrayLike,
    kernel: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: geometry.Padding = "valid",
    dilation: int | Sequence[int] = 1,
    boundary: str = "constant",
    cval: float = 0.0,
) -> jax.Array:
    """Returns the patches of an image in reading order: shape (count, *kernel, *rest).

    A single number for `kernel` means a square on a 2-D or (H, W, C) image, a segment on a 1-D
    one; a sequence covers as many leading axes as it is long, and what follows is kept whole.
    A 5x5 image padded "same" has 25 patches of 3x3.
    """
    image = floating(image, "the image")
    single = not isinstance(kernel, Iterable)
    axes = min(2, image.ndim) if single else len(tuple(kernel))
    if not 1 <= axes <= image.ndim:
        raise InputError(f"a kernel of {axes} axes does not fit an image of {image.ndim} axes")
    kernel = geometry.per_axis(kernel, axes, "kernel size")
    stride = geometry.per_axis(stride, axes, "stride")
    dilation = geometry.per_axis(dilation, axes, "dilation")
    paddings = geometry.axis_paddings(padding, axes)
    spatial = image.shape[:axes]
    columns = tuple(zip(spatial, kernel, paddings, stride, dilation, strict=True))
    positions = [geometry.output_size(*axis) for axis in columns]
    widths = [geometry.padding_widths(*axis) for axis in columns]
    widths += [(0, 0)] * (image.ndim - axes)
    found = windows(extend(image, widths, boundary, cval), kernel, stride, dilation)
    return found.reshape(math.prod(positions), *kernel, *image.shape[axes:])
