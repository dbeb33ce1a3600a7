"""Light and colour of one image: (height, width, channels) pixels in [0, 255], float32.

Results may leave the range; the pipeline clips them after each operation, as Pillow does. Pillow
also rounds to whole numbers, and we do not.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from cnnjax.augment.arguments import Change, Probability, Strength, Turn
from cnnjax.augment.draws import Draw

# ITU-R BT.601: how much red, green and blue add to the brightness that an eye sees.
BRIGHTNESS = (0.299, 0.587, 0.114)


def lightness(image: jax.Array) -> jax.Array:
    """Returns (height, width, 1): the brightness of colours, and the mean of other channels."""
    if image.shape[-1] != 3:
        return image.mean(-1, keepdims=True)
    return jnp.dot(image, jnp.asarray(BRIGHTNESS, jnp.float32), precision="highest")[..., None]


def blend(image: jax.Array, other: jax.Array, factor: jax.Array) -> jax.Array:
    """Returns `other` at factor 0 and `image`, to the bit, at 1: PIL.Image.blend."""
    return image + (factor - 1) * (image - other)


def brightness(draw: Draw, image: jax.Array, strength: Strength) -> jax.Array:
    """Multiplies by a factor uniform in 1 ± `strength`: PIL.ImageEnhance.Brightness.

    As in torchvision's ColorJitter; so are the next three.
    """
    return image * draw.around(0, 1.0, strength)


def contrast(draw: Draw, image: jax.Array, strength: Strength) -> jax.Array:
    """Moves away from the mean grey by a factor in 1 ± `strength`: PIL.ImageEnhance.Contrast."""
    return blend(image, lightness(image).mean(), draw.around(0, 1.0, strength))


def saturation(draw: Draw, image: jax.Array, strength: Strength) -> jax.Array:
    """Moves away from grey by a factor uniform in 1 ± `strength`: PIL.ImageEnhance.Color."""
    return blend(image, lightness(image), draw.around(0, 1.0, strength))


def hue(draw: Draw, image: jax.Array, share: Turn) -> jax.Array:
    """Turns the circle of hues by up to ± `share` of it, in the HSV space of Smith 1978."""
    sixths = 6 * draw.around(0, 0.0, share)
    red, green, blue = (image[..., i] for i in range(3))
    most, least = image.max(-1), image.min(-1)
    chroma = most - least
    whole = jnp.where(chroma > 0, chroma, 1)
    place = jnp.where(
        most == red,
        (green - blue) / whole,
        jnp.where(most == green, 2 + (blue - red) / whole, 4 + (red - green) / whole),
    )

    def channel(offset: int) -> jax.Array:
        """What is left of `most`: all within a sixth of the own colour, least opposite of it."""
        away = (offset + place + sixths) % 6
        return most - chroma * jnp.clip(jnp.minimum(away, 4 - away), 0, 1)

    turned = jnp.stack([channel(5), channel(3), channel(1)], -1)
    return jnp.where(sixths == 0, image, turned)


def gamma(draw: Draw, image: jax.Array, strength: Change) -> jax.Array:
    """Raises pixels / 255 to a power uniform in 1 ± `strength`: torchvision's adjust_gamma."""
    power = draw.around(0, 1.0, strength)
    # A product with x^(power - 1) leaves the image as it is, to the bit, where the power is 1.
    return image * jnp.maximum(image / 255, 1e-6) ** (power - 1)


def grey(draw: Draw, image: jax.Array, p: Probability) -> jax.Array:
    """Takes all colour away, with probability `p`: torchvision's RandomGrayscale."""
    return jnp.where(draw.happens(0, p), lightness(image), image)


Pixelwise = Callable[..., jax.Array]
LIGHT: dict[str, Pixelwise] = {"brightness": brightness, "contrast": contrast, "gamma": gamma}
# These need red, green and blue.
COLOUR: dict[str, Pixelwise] = {"grey": grey, "hue": hue, "saturation": saturation}
