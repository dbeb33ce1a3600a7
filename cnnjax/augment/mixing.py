"""Two examples in one image, and how much of each one's targets it deserves.

The examples 2j and 2j + 1 of a batch are mixed with each other, in one proportion. The order of a
batch is random, so neighbours are as good as a permutation, and a device needs no other's images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.augment.arguments import Concentration
from cnnjax.augment.draws import Draw, Number
from cnnjax.augment.spoil import box


class Targets(NamedTuple):
    """What a batch shows: `share`, (batch,), of its `own` targets, and the rest of `others`.

    Targets are an array (batch, ...) or any pytree of them.
    """

    own: Any
    others: Any
    share: jax.Array

    @property
    def main(self) -> Any:
        """The targets with the larger share."""

        def larger(own: jax.Array, other: jax.Array) -> jax.Array:
            share = self.share.reshape(-1, *(1 for _ in own.shape[1:]))
            return jnp.where(share < 0.5, other, own)

        return jax.tree.map(larger, self.own, self.others)


def unmixed(targets: Any) -> Targets:
    count = len(jax.tree.leaves(targets)[0])
    return Targets(targets, targets, jnp.ones(count, jnp.float32))


def mixup(
    draw: Draw, image: jax.Array, other: jax.Array, alpha: Concentration
) -> tuple[jax.Array, jax.Array]:
    """Returns the weighted mean with another image, and the weight, from Beta(alpha, alpha).

    Zhang et al. 2017 (arXiv 1710.09412): alpha 1 for CIFAR, 0.2 for ImageNet.
    """
    share = symmetric_beta(draw.uniform[0], draw.uniform[1], alpha)
    return share * image + (1 - share) * other, share


def cutmix(
    draw: Draw, image: jax.Array, other: jax.Array, alpha: Concentration
) -> tuple[jax.Array, jax.Array]:
    """Returns the image with a rectangle of another, and the share of its pixels that are its own.

    Yun et al. 2019 (arXiv 1905.04899), algorithm A1: the rectangle has the shape of the image, an
    area from Beta(alpha, alpha) and its centre anywhere, and ends at the edges. alpha is 1 there.
    """
    height, width, _ = image.shape
    side = jnp.sqrt(1 - symmetric_beta(draw.uniform[0], draw.uniform[1], alpha))
    high, wide = jnp.floor(height * side), jnp.floor(width * side)
    foreign = box(draw.below(2, height), draw.below(3, width), high, wide, (height, width))
    own = jnp.sum(~foreign, dtype=jnp.float32)
    return jnp.where(foreign[..., None], other, image), own / (height * width)


def symmetric_beta(one: jax.Array, two: jax.Array, alpha: Number) -> jax.Array:
    """Returns a number from Beta(alpha, alpha) made of two uniform in [0, 1), and 1 at alpha 0.

    If t has a Student distribution with 2 alpha degrees of freedom, then t / sqrt(2 alpha + t^2)
    is symmetric beta between -1 and 1; Bailey 1994 (Mathematics of Computation 62) makes t of two
    uniform numbers, as Box and Muller made a normal one. Nothing is rejected, so alpha may vary.
    """
    cosine = jnp.cos(2 * jnp.pi * two)
    square = jnp.expm1(-jnp.log1p(-one) / jnp.maximum(alpha, 1e-6)) * cosine**2  # t^2 / (2 alpha)
    beta = (1 + jnp.sign(cosine) / jnp.sqrt(1 + 1 / square)) / 2
    return jnp.where(jnp.greater(alpha, 0), beta, 1)


def mix(
    function: Callable[..., tuple[jax.Array, jax.Array]],
    draws: Draw,
    images: jax.Array,
    targets: Any,
    numbers: dict[str, jax.Array],
) -> tuple[jax.Array, Targets]:
    """Returns `images` mixed with their neighbours; the last of an odd number stays alone.

    A pair shares the draw of its first.
    """
    count = len(images)
    example = np.arange(count)
    partner = np.where(example ^ 1 < count, example ^ 1, example)
    mixed, share = jax.vmap(lambda *pair: function(*pair, **numbers))(
        draws.at(np.minimum(example, partner)), images, images[partner]
    )
    if count % 2:
        mixed, share = mixed.at[-1].set(images[-1]), share.at[-1].set(1)
    return mixed, Targets(targets, jax.tree.map(lambda x: x[partner], targets), share)


MIXING: dict[str, Callable[..., tuple[jax.Array, jax.Array]]] = {"cutmix": cutmix, "mixup": mixup}
