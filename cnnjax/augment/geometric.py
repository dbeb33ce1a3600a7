"""Where the pixels of an image go: each operation as a matrix, so that many are one resampling.

A function returns the affine map from a pixel of the result to the place in the image that it
shows, (3, 3), for columns (x, y, 1) in pixels from the centre, x to the right and y down. That is
the inverse of what happens to the image, as `scipy.ndimage.affine_transform` and
`PIL.Image.transform` have it, too. Applying one operation after the other is multiplying their
matrices from left to right.

Every operation takes one more argument, `edge`, which says what lies beyond the image; `resample`
has the words.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cnnjax.augment.arguments import (
    Angle,
    Area,
    Change,
    Factor,
    Probability,
    Ratio,
    Share,
    Side,
    Slant,
)
from cnnjax.augment.draws import Draw

Size = tuple[int, int]  # height and width of an image, in pixels


def affine(*rows: tuple[ArrayLike, ArrayLike, ArrayLike]) -> jax.Array:
    """Returns a matrix of these two `rows` and (0, 0, 1)."""
    numbers = [jnp.asarray(number, jnp.float32) for row in (*rows, (0, 0, 1)) for number in row]
    return jnp.stack(numbers).reshape(3, 3)


def enlarge(x: ArrayLike, y: ArrayLike) -> jax.Array:
    """Returns the map of an image that becomes `x` times as wide and `y` times as high."""
    return affine((1 / jnp.asarray(x), 0, 0), (0, 1 / jnp.asarray(y), 0))


def move(x: ArrayLike, y: ArrayLike) -> jax.Array:
    """Returns the map of an image that moves by `x` pixels to the right and `y` down."""
    return affine((1, 0, -jnp.asarray(x)), (0, 1, -jnp.asarray(y)))


def flip(draw: Draw, size: Size, p: Probability = 0.5) -> jax.Array:
    """Left becomes right, with probability `p`: torchvision's RandomHorizontalFlip."""
    return enlarge(jnp.where(draw.happens(0, p), -1.0, 1.0), 1.0)


def vflip(draw: Draw, size: Size, p: Probability = 0.5) -> jax.Array:
    """Top becomes bottom, with probability `p`: torchvision's RandomVerticalFlip."""
    return enlarge(1.0, jnp.where(draw.happens(0, p), -1.0, 1.0))


def crop(draw: Draw, size: Size, pad: Side) -> jax.Array:
    """Grows each side by `pad` pixels and crops to the old size at random.

    He et al. 2015 (arXiv 1512.03385), section 4.2: `pad` 4 for CIFAR. torchvision's RandomCrop.
    """
    most = jnp.round(pad)
    return move(draw.below(0, 2 * most + 1) - most, draw.below(1, 2 * most + 1) - most)


def hshift(draw: Draw, size: Size, share: Share) -> jax.Array:
    """Moves to the left or right, by whole pixels, up to `share` of the width.

    `translate` of torchvision's RandomAffine, which rounds in the same way.
    """
    return move(jnp.round(draw.around(0, 0.0, share) * size[1]), 0.0)


def vshift(draw: Draw, size: Size, share: Share) -> jax.Array:
    """Moves up or down, by whole pixels, up to `share` of the height."""
    return move(0.0, jnp.round(draw.around(0, 0.0, share) * size[0]))


def shift(draw: Draw, size: Size, share: Share) -> jax.Array:
    """Moves in both directions, by whole pixels, up to `share` of the width and of the height."""
    x, y = draw.around(0, 0.0, share) * size[1], draw.around(1, 0.0, share) * size[0]
    return move(jnp.round(x), jnp.round(y))


def rotate(draw: Draw, size: Size, degrees: Angle) -> jax.Array:
    """Turns about the centre by an angle uniform in ± `degrees`: torchvision's RandomRotation."""
    angle = jnp.deg2rad(draw.around(0, 0.0, degrees))
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return affine((cosine, -sine, 0), (sine, cosine, 0))


def shear(draw: Draw, size: Size, degrees: Slant) -> jax.Array:
    """Slants upright lines by an angle uniform in ± `degrees`: `shear` of RandomAffine."""
    return affine((1, jnp.tan(jnp.deg2rad(draw.around(0, 0.0, degrees))), 0), (0, 1, 0))


def scale(draw: Draw, size: Size, strength: Change) -> jax.Array:
    """Enlarges about the centre by a factor uniform in 1 ± `strength`."""
    factor = draw.around(0, 1.0, strength)
    return enlarge(factor, factor)


def zoom(draw: Draw, size: Size, low: Factor, high: Factor) -> jax.Array:
    """Enlarges about the centre by a factor uniform in [low, high]: `scale` of RandomAffine.

    zoom(1, 1.5) comes nearer only, zoom(0.7, 1) goes away only.
    """
    factor = draw.between(0, low, high)
    return enlarge(factor, factor)


def stretch(draw: Draw, size: Size, strength: Change) -> jax.Array:
    """Multiplies width / height by a factor uniform in 1 ± `strength`; the area stays."""
    side = jnp.sqrt(draw.around(0, 1.0, strength))
    return enlarge(side, 1 / side)


def resized_crop(draw: Draw, size: Size, area: Area, ratio: Ratio = 4 / 3) -> jax.Array:
    """Cuts a rectangle out at random and enlarges it to the old size.

    Szegedy et al. 2014 (arXiv 1409.4842), section 6; torchvision's RandomResizedCrop. The rectangle
    covers a share of the image that is uniform in [area, 1], and its width / height is that of the
    image times a factor, log-uniform in [1 / ratio, ratio] as far as such a rectangle fits.
    """
    covered = draw.between(0, area, 1.0)
    most = jnp.minimum(jnp.log(ratio), -jnp.log(covered))
    factor = jnp.exp(draw.around(1, 0.0, most))
    wide, high = (jnp.minimum(jnp.sqrt(side), 1) for side in (covered * factor, covered / factor))
    x = draw.around(2, 0.0, (1 - wide) * size[1] / 2)
    y = draw.around(3, 0.0, (1 - high) * size[0] / 2)
    return affine((wide, 0, x), (0, high, y))


Geometric = Callable[..., jax.Array]
# These move pixels to pixels: alone, they are exact and need no interpolation.
EXACT: dict[str, Geometric] = {
    "crop": crop,
    "flip": flip,
    "hshift": hshift,
    "shift": shift,
    "vflip": vflip,
    "vshift": vshift,
}
SMOOTH: dict[str, Geometric] = {
    "resized_crop": resized_crop,
    "rotate": rotate,
    "scale": scale,
    "shear": shear,
    "stretch": stretch,
    "zoom": zoom,
}
