"""Kernels drawn by hand: what people looked for in images before networks learned what to see.

Each is meant for `correlate`, as a network would apply it: bright where the image looks like it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cnnjax.convolution import geometry, modes
from cnnjax.convolution.boundary import floating
from cnnjax.errors import InputError

# Sobel and Feldman, 1968: a difference along one axis, smoothed along the other. x is to the
# right and y down, so SOBEL_X answers to vertical edges and SOBEL_Y to horizontal ones.
SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
SOBEL_Y = SOBEL_X.T.copy()

# Edges of every direction: the Laplacian over eight neighbours.
EDGE = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float32)

# A line one pixel wide, upright or lying.
VERTICAL_LINE = np.array([[-1, 2, -1]] * 3, np.float32)
HORIZONTAL_LINE = VERTICAL_LINE.T.copy()


def box(size: int, axes: int = 2) -> np.ndarray:
    """Returns the mean over `size` elements on each of the `axes`: smooths, sums to one."""
    size = geometry.integer(size, "size", 1)
    axes = geometry.integer(axes, "axes", 1)
    return np.full((size,) * axes, 1 / size**axes, np.float32)


def arc(size: int = 7) -> np.ndarray:
    """Returns a drawn curve: a quarter of a circle from the top left to the bottom right, 0 or 1.

    The centre of the circle is the bottom left corner; the line is one pixel wide.
    """
    size = geometry.integer(size, "size", 3)
    rows, columns = np.mgrid[:size, :size]
    radius = np.hypot(size - 1 - rows, columns)
    return (np.abs(radius - (size - 1)) < 0.5).astype(np.float32)


def curve(size: int = 7) -> np.ndarray:
    """Returns a filter that answers to `arc`: positive along it and negative beside it.

    It sums to zero, so that a plain of any brightness gives none, and answers 1 to the arc itself.
    """
    drawn = arc(size)
    centred = drawn - drawn.mean()
    return (centred / (centred * drawn).sum()).astype(np.float32)


class Gradient(NamedTuple):
    """The slope of the brightness at each pixel, to the right and downwards."""

    x: jax.Array
    y: jax.Array

    @property
    def magnitude(self) -> jax.Array:
        """How steep: sqrt(x^2 + y^2), with a gradient of zero, not of nan, where it is flat."""
        square = self.x**2 + self.y**2
        flat = square == 0
        return jnp.where(flat, 0, jnp.sqrt(jnp.where(flat, 1, square)))

    @property
    def direction(self) -> jax.Array:
        """Which way is brighter: radians from the x axis towards the y axis, in (-pi, pi]."""
        return jnp.arctan2(self.y, self.x)


def sobel(image: ArrayLike, mode: str = "reflect", cval: float = 0.0) -> Gradient:
    """Returns the Sobel gradient of a gray image (height, width), as scipy.ndimage.sobel has it.

    `mode` is any of `modes.MODES`; "valid" gives (height - 2, width - 2).
    """
    image = floating(image, "the image")
    if image.ndim != 2:
        raise InputError(f"sobel takes a gray image (height, width), got the shape {image.shape}")
    return Gradient(
        modes.correlate(image, SOBEL_X, mode, cval), modes.correlate(image, SOBEL_Y, mode, cval)
    )
