"""Scenes: scikit-learn's handwritten digits on a canvas, at random sizes and places."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cnnjax.data.dataset import Split
from cnnjax.errors import InputError

# Side of a digit as a share of the canvas.
SMALLEST, LARGEST = 0.25, 0.6
# Of 255: what counts as ink, for the tight box around a digit.
INK = 64


def digit(pixels: np.ndarray, side: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Returns a digit's ink (side, side) in [0, 1], and its box: left, top, right, bottom."""
    enlarged = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    ink = np.asarray(enlarged, np.float32) / 255
    rows, columns = np.nonzero(ink * 255 > INK)
    return ink, (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)


def draw(
    pixels: np.ndarray, size: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a canvas (size, size, 1) uint8 with one digit, and its box in shares of the canvas.

    The digit's box lies within the canvas; its ink is of random brightness, the ground a random
    slope of greys with noise.
    """
    side = max(8, round(size * generator.uniform(SMALLEST, LARGEST)))
    ink, (left, top, right, bottom) = digit(pixels, side)
    x = int(generator.integers(0, size - (right - left) + 1))
    y = int(generator.integers(0, size - (bottom - top) + 1))
    slope = np.linspace(0, 1, size)[:, None] * generator.uniform(-40, 40)
    slope = slope + np.linspace(0, 1, size) * generator.uniform(-40, 40)
    canvas = generator.uniform(40, 90) + slope + generator.normal(0, 8, (size, size))
    cover = np.zeros((size, size), np.float32)
    cover[y : y + bottom - top, x : x + right - left] = ink[top:bottom, left:right]
    canvas += cover * (generator.uniform(170, 255) - canvas)
    box = np.array([x, y, x + right - left, y + bottom - top], np.float32) / size
    return canvas.clip(0, 255).round().astype(np.uint8)[..., None], box


def draw_split(digits: Split, examples: int, size: int, seed: int) -> Split:
    """Returns `examples` scenes of one digit each; the same arguments draw the same scenes."""
    if size < 24 or examples < 1 or seed < 0:
        raise InputError(
            "scenes draws at least 1 example of 24 pixels or more, by a draw_seed of at least 0; "
            f"given examples={examples}, size={size}, draw_seed={seed}"
        )
    generator = np.random.default_rng(seed)
    chosen = generator.integers(0, len(digits), examples)
    drawn = [draw(digits.images[i, ..., 0], size, generator) for i in chosen]
    images, boxes = (np.stack(part) for part in zip(*drawn, strict=True))
    return Split(images, {"label": digits.targets["label"][chosen], "box": boxes})
