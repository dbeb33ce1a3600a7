"""Boxes (..., 4): left, top, right and bottom, in shares of an image or in any other unit."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def from_logits(values: jax.Array) -> jax.Array:
    """Returns boxes of four numbers each (..., 4): centre, width and height before a sigmoid."""
    x, y, width, height = jnp.moveaxis(jax.nn.sigmoid(values.astype(jnp.float32)), -1, 0)
    return jnp.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], -1)


def area(boxes: jax.Array) -> jax.Array:
    return jnp.prod(jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)


def overlap(one: jax.Array, other: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the areas of intersection and union, (...,)."""
    low = jnp.maximum(one[..., :2], other[..., :2])
    high = jnp.minimum(one[..., 2:], other[..., 2:])
    both = area(jnp.concatenate([low, high], -1))
    return both, area(one) + area(other) - both


def iou(one: jax.Array, other: jax.Array) -> jax.Array:
    """Returns intersection over union, (...,), in [0, 1]; 0 of two boxes without area."""
    both, either = overlap(one, other)
    return jnp.where(either > 0, both / jnp.where(either > 0, either, 1), 0)


def giou(one: jax.Array, other: jax.Array) -> jax.Array:
    """Returns the generalised IoU, (...,), in [-1, 1] (Rezatofighi et al. 2019, arXiv 1902.09630).

    Its gradient brings boxes together that do not touch.
    """
    both, either = overlap(one, other)
    low = jnp.minimum(one[..., :2], other[..., :2])
    high = jnp.maximum(one[..., 2:], other[..., 2:])
    hull = area(jnp.concatenate([low, high], -1))
    either, hull = (jnp.where(x > 0, x, 1) for x in (either, hull))
    return both / either - (hull - either) / hull
