"""Non-maximum suppression inside a compiled program: fixed sizes, and ties settled."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.tasks.boxes import iou


def kept(boxes: jax.Array, labels: jax.Array, allowed: jax.Array, threshold: float) -> jax.Array:
    """Returns which boxes stay when each removes those after it that it agrees with too well.

    Args:
      boxes: (n, 4), the surest first.
      labels: (n,); boxes of different classes leave each other alone.
      allowed: (n,) bool; others neither stay nor remove.
      threshold: the largest intersection over union of two that stay.
    """
    count = len(boxes)
    close = iou(boxes[:, None], boxes[None]) > threshold
    earlier = jnp.arange(count)[:, None] < jnp.arange(count)
    removes = close & earlier & (labels[:, None] == labels) & allowed[:, None]

    # One by one, each box stays unless one that stays removes it. All at once, from "all stay": the
    # first i are right after i rounds, and what no round changes any more is right.
    def changed(state: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.any(state[0] != state[1])

    def again(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        stays = state[1]
        return stays, allowed & ~jnp.any(removes & stays[:, None], axis=0)

    return lax.while_loop(changed, again, (~allowed, allowed))[1]


def surest(
    scores: jax.Array,
    boxes: jax.Array,
    *,
    candidates: int,
    most: int,
    least: float,
    threshold: float,
) -> dict[str, jax.Array]:
    """Returns what stays of one image's boxes: `boxes`, `labels` and `scores`, the surest first.

    Equal scores go by place, then by class. Rows beyond what was found have the label -1, the score
    0 and a box of zeros; there are `most` of them, or all if that is less.

    Args:
      scores: (places, classes), in [0, 1]; what is no number is none.
      boxes: (places, 4), each for all classes of its place.
      candidates: how many of the best pairs of place and class are looked at.
      least: the smallest score that is looked at.
      threshold: as in `kept`.
    """
    classes = scores.shape[1]
    candidates = min(candidates, scores.size)
    sound = jnp.isfinite(boxes).all(-1, keepdims=True) & jnp.isfinite(scores)
    # Of equal values, top_k takes the first.
    values, places = lax.top_k(jnp.where(sound, scores, -1).ravel(), candidates)
    place, labels = places // classes, places % classes
    chosen = boxes[place]
    stays = kept(chosen, labels, values >= least, threshold)
    ranked, order = lax.top_k(jnp.where(stays, values, -1), min(most, candidates))
    there = ranked >= 0
    return {
        "boxes": jnp.where(there[:, None], chosen[order], 0),
        "labels": jnp.where(there, labels[order], -1),
        "scores": jnp.where(there, ranked, 0),
    }
