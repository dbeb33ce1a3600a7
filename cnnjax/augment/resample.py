"""An image seen through an affine map.

A picture covers its pixels to their outer edges. Within it, `PIL.Image.transform` and we
interpolate between the nearest four pixels, of which there are fewer at the rim; what lies beyond
is told by a word of scipy.ndimage. By default that is "constant": black.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from cnnjax.registry import Table

Index = jax.Array  # a row or column, int32, which may lie beyond the edge


def nearest(index: Index, count: int) -> Index:
    return jnp.clip(index, 0, count - 1)


def reflect(index: Index, count: int) -> Index:
    index = index % (2 * count)
    return jnp.minimum(index, 2 * count - 1 - index)


def mirror(index: Index, count: int) -> Index:
    period = max(2 * count - 2, 1)
    index = index % period
    return jnp.minimum(index, period - index)


def wrap(index: Index, count: int) -> Index:
    return index % count


# Which of `count` pixels a place beyond the edge shows. A picture of each, for the pixels abcd:
EDGES: Table[Callable[[Index, int], Index]] = Table(
    "rule for what lies beyond the edge",
    constant=nearest,  # 0 0 0 0 | a b c d | 0 0 0 0
    mirror=mirror,  #      d c b | a b c d | c b a
    nearest=nearest,  #  a a a a | a b c d | d d d d
    reflect=reflect,  #  d c b a | a b c d | d c b a
    wrap=wrap,  #        a b c d | a b c d | a b c d
)


def centred(count: int) -> jax.Array:
    """Returns the places of `count` pixels from their centre."""
    return jnp.arange(count, dtype=jnp.float32) - (count - 1) / 2


def exact(image: jax.Array, matrix: jax.Array, edge: str) -> jax.Array:
    """Returns `image` (height, width, channels) with pixels moved, for a map that keeps the axes.

    `matrix` has whole pixels in its last column, ±1 on its diagonal and zeros elsewhere.
    """
    height, width, _ = image.shape
    columns = jnp.round(matrix[0, 0] * centred(width) + matrix[0, 2] + (width - 1) / 2)
    rows = jnp.round(matrix[1, 1] * centred(height) + matrix[1, 2] + (height - 1) / 2)
    rows, columns = rows.astype(jnp.int32), columns.astype(jnp.int32)
    place = EDGES[edge]
    image = image.at[place(rows, height)].get(mode="promise_in_bounds")
    image = image.at[:, place(columns, width)].get(mode="promise_in_bounds")
    if edge != "constant":
        return image
    inside = within(rows, height)[:, None] & within(columns, width)
    return jnp.where(inside[..., None], image, 0)


def bilinear(image: jax.Array, matrix: jax.Array, edge: str) -> jax.Array:
    """Returns `image` (height, width, channels) seen through `matrix`, interpolated once."""
    height, width, _ = image.shape
    across, down = centred(width), centred(height)[:, None]
    x = matrix[0, 0] * across + matrix[0, 1] * down + matrix[0, 2] + (width - 1) / 2
    y = matrix[1, 0] * across + matrix[1, 1] * down + matrix[1, 2] + (height - 1) / 2
    left, top = jnp.floor(x), jnp.floor(y)
    right, low = (x - left)[..., None], (y - top)[..., None]  # how much of those pixels
    place = EDGES[edge]
    pixels = image.reshape(height * width, -1)

    def pixel(row: jax.Array, column: jax.Array) -> jax.Array:
        row, column = row.astype(jnp.int32), column.astype(jnp.int32)
        index = place(row, height) * width + place(column, width)
        return pixels.at[index].get(mode="promise_in_bounds")

    def line(row: jax.Array) -> jax.Array:
        return pixel(row, left) * (1 - right) + pixel(row, left + 1) * right

    result = jnp.clip(line(top) * (1 - low) + line(top + 1) * low, 0, 255)
    if edge != "constant":
        return result
    return jnp.where((within(x, width) & within(y, height))[..., None], result, 0)


def within(place: jax.Array, count: int) -> jax.Array:
    """Tells which places lie on one of `count` pixels, each of which is one wide."""
    return (place >= -0.5) & (place < count - 0.5)


def compose(matrices: list[jax.Array]) -> jax.Array:
    """Returns the map of operations that follow each other; in float32 on any device."""
    return functools.reduce(functools.partial(jnp.matmul, precision="highest"), matrices)
