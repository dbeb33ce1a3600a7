"""What takes something away from one image: (height, width, channels) pixels in [0, 255]."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.augment.arguments import Deviation, Level, Side
from cnnjax.augment.draws import Draw


def noise(draw: Draw, image: jax.Array, sigma: Level) -> jax.Array:
    """Adds Gaussian noise of the standard deviation `sigma`, in units of pixels' values.

    Every value gets its own: torchvision's GaussianNoise, whose unit is 255 times as large.
    """
    return image + sigma * jax.random.normal(draw.key, image.shape, jnp.float32)


def blur(draw: Draw, image: jax.Array, sigma: Deviation) -> jax.Array:
    """Smooths with a Gaussian whose standard deviation is uniform in [0, `sigma`] pixels.

    The image is reflected at its edges: scipy.ndimage.gaussian_filter.
    """
    deviation = draw.between(0, 0.0, sigma)
    # Matrices, since neither a kernel's size may depend on a traced number, nor are convolutions
    # with a kernel for each example quick.
    rows, columns = (smoothing(count, deviation) for count in image.shape[:2])
    image = jnp.einsum("ij,jwc->iwc", rows, image, precision="highest")
    return jnp.einsum("ij,hjc->hic", columns, image, precision="highest")


def smoothing(count: int, deviation: jax.Array) -> jax.Array:
    """Returns how much of pixel j goes into pixel i, (count, count); rows add up to one.

    A pixel is seen directly and once in each edge, which is all there is to see as long as
    `deviation` is below a quarter of `count`.
    """
    distance = jnp.arange(2 * count, dtype=jnp.float32)
    weight = jnp.exp(-0.5 * (distance / jnp.maximum(deviation, 1e-3)) ** 2)
    i, j = np.arange(count)[:, None], np.arange(count)
    weights = weight[abs(i - j)] + weight[i + j + 1] + weight[2 * count - 1 - i - j]
    return weights / weights.sum(1, keepdims=True)


def cutout(draw: Draw, image: jax.Array, size: Side) -> jax.Array:
    """Blackens a square of `size` pixels around a random pixel, as far as it is in the image.

    DeVries and Taylor 2017 (arXiv 1708.04552): 16 for CIFAR-10, 8 for CIFAR-100.
    """
    height, width, _ = image.shape
    side = jnp.round(size)
    inside = box(draw.below(0, height), draw.below(1, width), side, side, (height, width))
    return jnp.where(inside[..., None], 0, image)


def box(
    row: jax.Array, column: jax.Array, high: jax.Array, wide: jax.Array, size: tuple[int, int]
) -> jax.Array:
    """Tells which of `size` pixels lie in a rectangle of `high` x `wide` pixels around one."""

    def line(centre: jax.Array, length: jax.Array, count: int) -> jax.Array:
        places = jnp.arange(count, dtype=jnp.float32)
        start = centre - jnp.floor(length / 2)
        return (places >= start) & (places < start + length)

    return line(row, high, size[0])[:, None] & line(column, wide, size[1])


SPOIL: dict[str, Callable[..., jax.Array]] = {"blur": blur, "cutout": cutout, "noise": noise}
