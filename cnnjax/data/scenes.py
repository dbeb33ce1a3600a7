"""Scenes: scikit-learn's handwritten digits on a canvas, at random sizes and places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from cnnjax.data.dataset import Split
from cnnjax.data.objects import Objects, padded
from cnnjax.errors import InputError

# Side of a digit as a share of the canvas: of a single one, and of one of several.
SMALLEST, LARGEST = 0.25, 0.6
SMALL, LARGE = 0.2, 0.45
# Of 255: what counts as ink, for the tight box around a digit.
INK = 64
# The share of a digit's box that another may cover, and how often a place is looked for.
COVERED, TRIES = 0.25, 50


def digit(pixels: np.ndarray, side: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Returns a digit's ink (side, side) in [0, 1], and its box: left, top, right, bottom."""
    enlarged = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    ink = np.asarray(enlarged, np.float32) / 255
    rows, columns = np.nonzero(ink * 255 > INK)
    return ink, (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)


def ground(size: int, generator: np.random.Generator) -> np.ndarray:
    """Returns a canvas (size, size) float: a random slope of greys with noise."""
    slope = np.linspace(0, 1, size)[:, None] * generator.uniform(-40, 40)
    slope = slope + np.linspace(0, 1, size) * generator.uniform(-40, 40)
    return generator.uniform(40, 90) + slope + generator.normal(0, 8, (size, size))


def write(
    canvas: np.ndarray, ink: np.ndarray, x: int, y: int, generator: np.random.Generator
) -> np.ndarray:
    """Writes ink of a random brightness on the canvas, and returns how it covers it, in [0, 1]."""
    cover = np.zeros(canvas.shape, np.float32)
    cover[y : y + ink.shape[0], x : x + ink.shape[1]] = ink
    canvas += cover * (generator.uniform(170, 255) - canvas)
    return cover


def pixels_of(canvas: np.ndarray) -> np.ndarray:
    return canvas.clip(0, 255).round().astype(np.uint8)[..., None]


def place(
    pixels: np.ndarray, size: int, shares: tuple[float, float], generator: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Returns the ink of a digit within its box, and that box somewhere on the canvas, in pixels.

    `shares` are the smallest and the largest side of the digit.
    """
    side = max(8, round(size * generator.uniform(*shares)))
    ink, (left, top, right, bottom) = digit(pixels, side)
    x = int(generator.integers(0, size - (right - left) + 1))
    y = int(generator.integers(0, size - (bottom - top) + 1))
    return ink[top:bottom, left:right], (x, y, x + right - left, y + bottom - top)


def draw(
    pixels: np.ndarray, size: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a canvas (size, size, 1) uint8 with one digit, and its box in shares of the canvas.

    The digit's box lies within the canvas.
    """
    ink, box = place(pixels, size, (SMALLEST, LARGEST), generator)
    canvas = ground(size, generator)
    write(canvas, ink, *box[:2], generator)
    return pixels_of(canvas), np.array(box, np.float32) / size


def covers(one: Sequence[int], other: Sequence[int]) -> float:
    """Returns the share of the smaller of two boxes that the other covers."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return max(wide, 0) * max(high, 0) / smaller


def draw_several(
    digits: Sequence[np.ndarray], size: int, generator: np.random.Generator
) -> tuple[np.ndarray, dict[int, tuple[int, int, int, int]], dict[int, np.ndarray]]:
    """Returns a canvas (size, size, 1) uint8 with digits, later ones over earlier ones.

    And place in `digits` -> box in pixels, and -> cover (size, size) in [0, 1], of those that found
    room: a digit covers at most `COVERED` of another's box.
    """
    canvas = ground(size, generator)
    boxes: dict[int, tuple[int, int, int, int]] = {}
    inks: dict[int, np.ndarray] = {}
    for number, pixels in enumerate(digits):
        for _ in range(TRIES):
            ink, box = place(pixels, size, (SMALL, LARGE), generator)
            if all(covers(box, other) <= COVERED for other in boxes.values()):
                boxes[number] = box
                inks[number] = write(canvas, ink, *box[:2], generator)
                break
    return pixels_of(canvas), boxes, inks


def check(examples: int, size: int, objects: int, seed: int) -> None:
    if size < 24 or examples < 1 or seed < 0 or objects < 1:
        raise InputError(
            "scenes draws at least 1 example of 24 pixels or more with at least 1 of objects, by a "
            f"draw_seed of at least 0; given examples={examples}, size={size}, objects={objects}, "
            f"draw_seed={seed}"
        )


def draw_split(digits: Split, examples: int, size: int, seed: int) -> Split:
    """Returns `examples` scenes of one digit each; the same arguments draw the same scenes."""
    check(examples, size, 1, seed)
    generator = np.random.default_rng(seed)
    chosen = generator.integers(0, len(digits), examples)
    drawn = [draw(digits.images[i, ..., 0], size, generator) for i in chosen]
    images, boxes = (np.stack(part) for part in zip(*drawn, strict=True))
    return Split(images, {"label": digits.targets["label"][chosen], "box": boxes})


def draw_split_of_several(
    digits: Split, examples: int, size: int, objects: int, seed: int, masks: bool = False
) -> Split:
    """Returns `examples` scenes of 1 to `objects` digits each, a function of the arguments.

    With their boxes, or with `masks` a class per pixel: 0 for the ground, else the digit and 1.
    """
    check(examples, size, objects, seed)
    generator = np.random.default_rng(seed)
    images, found = [], []
    for _ in range(examples):
        chosen = generator.integers(0, len(digits), generator.integers(1, objects + 1))
        pixels = [digits.images[i, ..., 0] for i in chosen]
        image, boxes, covers = draw_several(pixels, size, generator)
        labels = digits.targets["label"][chosen[list(boxes)]]
        images.append(image)
        if masks:
            found.append(mask_of(covers.values(), labels))
            continue
        found.append(Objects.of_pixels(list(boxes.values()), labels, (size, size)))
    targets = {"mask": np.stack(found)} if masks else padded(found, objects)
    return Split(np.stack(images), targets)


def mask_of(covers: Iterable[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Returns the class of each pixel (size, size) uint8: that of the last digit with ink there."""
    covers = list(covers)
    mask = np.zeros(covers[0].shape, np.uint8)
    for cover, label in zip(covers, labels, strict=True):
        mask[cover * 255 > INK] = label + 1
    return mask
