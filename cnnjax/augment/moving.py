"""Where boxes, points and masks go when the pixels of their image move.

Boxes are (..., 4): left, top, right and bottom; points are (..., 2): x and y; both in shares of the
image's width and height, so that 0 and 1 are its outer edges and resizing changes nothing. A box
without area is none.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from cnnjax.augment import resample
from cnnjax.registry import Table


@dataclasses.dataclass(frozen=True)
class Moves:
    """How a target follows its image.

    Attributes:
      kind: "boxes", "points" or "mask": (height, width), a class per pixel.
      least: boxes: the share of its area that a box must keep in the image, or it is dropped.
      swaps: points: pairs of places along the last axis but one that change names in a mirror, such
        as a left and a right eye.
      fill: mask: what lies beyond the image, where that is black.
    """

    kind: str
    least: float = 0.25
    swaps: tuple[tuple[int, int], ...] = ()
    fill: int = 0


def seen(places: jax.Array, matrix: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Returns where places (..., 2), in shares, appear in a result that shows `matrix` of them."""
    lengths = jnp.asarray((size[1], size[0]), jnp.float32)
    (a, b), (c, d) = matrix[0, :2], matrix[1, :2]
    inverse = jnp.stack([d, -b, -c, a]).reshape(2, 2) / (a * d - b * c)
    centred = (places - 0.5) * lengths - matrix[:2, 2]
    return jnp.einsum("ij,...j->...i", inverse, centred, precision="highest") / lengths + 0.5


def boxes(
    values: jax.Array, moves: Moves, matrix: jax.Array, edge: str, size: tuple[int, int]
) -> jax.Array:
    """Returns the upright boxes around the moved ones, cut at the edges of the image."""
    del edge
    left, top, right, bottom = jnp.moveaxis(values, -1, 0)
    corners = jnp.stack([jnp.stack([x, y], -1) for x in (left, right) for y in (top, bottom)], -2)
    corners = seen(corners, matrix, size)
    whole = jnp.concatenate([corners.min(-2), corners.max(-2)], -1)
    cut = jnp.clip(whole, 0, 1)
    dropped = (area(cut) < moves.least * area(whole)) | (area(cut) == 0) | (area(values) == 0)
    return jnp.where(dropped[..., None], 0, cut)


def area(values: jax.Array) -> jax.Array:
    return (values[..., 2] - values[..., 0]) * (values[..., 3] - values[..., 1])


def points(
    values: jax.Array, moves: Moves, matrix: jax.Array, edge: str, size: tuple[int, int]
) -> jax.Array:
    """Returns the moved points, those beyond the image included; mirrored ones change names."""
    del edge
    values = seen(values, matrix, size)
    order = list(range(values.shape[-2])) if values.ndim > 1 else []
    for one, other in moves.swaps:
        order[one], order[other] = other, one
    if not moves.swaps:
        return values
    mirrored = jnp.linalg.det(matrix[:2, :2]) < 0
    return jnp.where(mirrored, values[..., jnp.array(order), :], values)


def mask(
    values: jax.Array, moves: Moves, matrix: jax.Array, edge: str, size: tuple[int, int]
) -> jax.Array:
    """Returns the mask with the class of the nearest pixel at each place."""
    height, width = size
    across, down = resample.centred(width), resample.centred(height)[:, None]
    x = matrix[0, 0] * across + matrix[0, 1] * down + matrix[0, 2] + (width - 1) / 2
    y = matrix[1, 0] * across + matrix[1, 1] * down + matrix[1, 2] + (height - 1) / 2
    place = resample.EDGES[edge]
    row, column = (jnp.floor(v + 0.5).astype(jnp.int32) for v in (y, x))
    result = values.at[place(row, height), place(column, width)].get(mode="promise_in_bounds")
    if edge != "constant":
        return result
    inside = resample.within(x, width) & resample.within(y, height)
    return jnp.where(inside, result, jnp.asarray(moves.fill, values.dtype))


KINDS = Table("kind of target", boxes=boxes, mask=mask, points=points)
