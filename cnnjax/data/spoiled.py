"""Images spoiled once and for all: by noise, and by a brightness that is not the same everywhere.

What a magnetic resonance image suffers from; other than an augmentation it is in every split.
"""

from __future__ import annotations

import zlib

import numpy as np
from PIL import Image

GRID = 3  # random numbers per side, from which a field is interpolated


def spoiled(pixels: np.ndarray, noise: float, bias: float, seed: int, split: str) -> np.ndarray:
    """Returns uint8 images (n, height, width, channels), a function of the arguments.

    Args:
      noise: standard deviation of what is added to every value, of 255.
      bias: every image is multiplied with a smooth field between 1 - bias and 1 + bias.
    """
    if not noise and not bias:
        return pixels
    generator = np.random.default_rng((seed, zlib.crc32(split.encode())))
    result = np.empty_like(pixels)
    for i, image in enumerate(pixels):
        values = image * (1 + bias * field(image.shape[:2], generator))[..., None]
        values = values + generator.normal(0, noise, image.shape)
        result[i] = values.round().clip(0, 255)
    return result


def field(size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Returns a smooth random field (height, width) whose least value is -1, whose largest 1."""
    coarse = Image.fromarray(generator.normal(size=(GRID, GRID)).astype(np.float32))
    values = np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC))
    return 2 * (values - values.min()) / np.ptp(values) - 1
