"""Which inputs a score depends on: methods that need the network as a function alone.

`score` maps inputs (batch, height, width, channels) float32 to one value per image, (batch,): the
logit of a class, usually. Attributions have the shape of the inputs; for a picture, sum them over
the channels.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Score = Callable[[jax.Array], jax.Array]


def gradient(score: Score, inputs: jax.Array) -> jax.Array:
    """Returns d score / d inputs; its absolute value is the saliency map.

    Simonyan, Vedaldi and Zisserman 2013 (arXiv 1312.6034), section 3.
    """
    return jax.grad(lambda x: score(x).sum())(inputs)


def smooth_grad(
    key: jax.Array, score: Score, inputs: jax.Array, samples: int = 32, noise: float = 0.15
) -> jax.Array:
    """Returns the mean gradient over `samples` noisy copies of the inputs.

    Smilkov et al. 2017 (arXiv 1706.03825), section 3: the standard deviation is `noise` times the
    range of each image.
    """
    axes = tuple(range(1, inputs.ndim))
    spread = noise * (inputs.max(axes, keepdims=True) - inputs.min(axes, keepdims=True))

    def add(total: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
        noisy = inputs + spread * jax.random.normal(key, inputs.shape)
        return total + gradient(score, noisy), None

    total, _ = lax.scan(add, jnp.zeros_like(inputs), jax.random.split(key, samples))
    return total / samples


def integrated_gradients(
    score: Score, inputs: jax.Array, baseline: jax.Array, steps: int = 64
) -> tuple[jax.Array, jax.Array]:
    """Returns the attributions and, per image, by how much they miss completeness.

    Sundararajan, Taly and Yan 2017 (arXiv 1703.01365), equation 1, by Gauss-Legendre quadrature in
    `steps` points. Exact attributions add up to score(inputs) - score(baseline); the miss is what
    is left of that sum, in units of the score.
    """
    points, weights = np.polynomial.legendre.leggauss(steps)
    difference = inputs - baseline

    def add(total: jax.Array, node: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        share, weight = node
        return total + weight * gradient(score, baseline + share * difference), None

    nodes = jnp.float32((points + 1) / 2), jnp.float32(weights / 2)
    mean, _ = lax.scan(add, jnp.zeros_like(inputs), nodes)
    attributions = difference * mean
    gap = score(inputs) - score(jnp.broadcast_to(baseline, inputs.shape))
    return attributions, attributions.sum(tuple(range(1, inputs.ndim))) - gap


def occlusion(
    score: Score, inputs: jax.Array, window: int, stride: int, baseline: jax.Array | float = 0.0
) -> jax.Array:
    """Returns how much the score falls while a square is covered, (batch, height, width, 1).

    Zeiler and Fergus 2013 (arXiv 1311.2901), section 4.2. Windows of `window` pixels a side lie
    `stride` apart, the last ones cut at the border; a pixel gets the mean over those that cover it.
    """
    batch, height, width, _ = inputs.shape
    starts = [
        (top, left) for top in offsets(height, window, stride)
        for left in offsets(width, window, stride)
    ]  # fmt: skip
    whole = score(inputs)
    rows, columns = jnp.arange(height)[:, None], jnp.arange(width)

    def add(carry: tuple[jax.Array, jax.Array], start: jax.Array):
        total, count = carry
        inside = (rows >= start[0]) & (rows < start[0] + window)
        inside &= (columns >= start[1]) & (columns < start[1] + window)
        covered = inside[None, :, :, None]
        fall = whole - score(jnp.where(covered, baseline, inputs))
        return (total + covered * fall[:, None, None, None], count + covered), None

    empty = jnp.zeros((batch, height, width, 1)), jnp.zeros((1, height, width, 1))
    (total, count), _ = lax.scan(add, empty, jnp.asarray(starts))
    return total / jnp.maximum(count, 1)


def offsets(size: int, window: int, stride: int) -> range:
    """Returns where windows begin, so that the last one reaches the border."""
    count = -(-max(size - window, 0) // stride) + 1
    return range(0, count * stride, stride)


def rise(
    key: jax.Array,
    score: Score,
    inputs: jax.Array,
    masks: int = 1000,
    cells: int = 7,
    kept: float = 0.5,
) -> jax.Array:
    """Returns the mean score of the image under masks that keep a pixel, (batch, height, width, 1).

    Petsiuk, Das and Saenko 2018 (arXiv 1806.07421), equation 6: masks are grids of `cells` a side
    that are 1 with probability `kept`, enlarged smoothly and shifted at random by less than a cell.
    """
    batch, height, width, _ = inputs.shape
    cell = -(-height // cells), -(-width // cells)
    enlarged = ((cells + 1) * cell[0], (cells + 1) * cell[1])

    def add(total: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
        grid_key, shift_key = jax.random.split(key)
        grid = jax.random.bernoulli(grid_key, kept, (cells + 1, cells + 1)).astype(jnp.float32)
        shift = jax.random.randint(shift_key, (2,), 0, jnp.asarray(cell))
        mask = lax.dynamic_slice(jax.image.resize(grid, enlarged, "linear"), shift, (height, width))
        mask = mask[None, :, :, None]
        return total + score(inputs * mask)[:, None, None, None] * mask, None

    total, _ = lax.scan(add, jnp.zeros((batch, height, width, 1)), jax.random.split(key, masks))
    return total / (masks * kept)
