"""Synthetic images: eight shapes at random places, sizes, angles and brightness."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from cnnjax.data.dataset import Split
from cnnjax.errors import InputError

OVERSAMPLING = 4
RIGHT_ANGLE = np.array([(0.0, 1.0), (-1.0, 0.0)])


def star(corners: int, depth: float) -> np.ndarray:
    """Returns the outline of a star in the unit circle; with `depth` 1 a regular polygon."""
    angles = np.linspace(0, 2 * np.pi, 2 * corners, endpoint=False)
    radii = np.where(np.arange(2 * corners) % 2, depth * np.cos(np.pi / corners), 1.0)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def circle(radius: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return star(32, depth=1.0) * radius + (shift, 0)


def cross() -> np.ndarray:
    corner = np.array([(0.3, 0.3), (0.3, 0.95), (-0.3, 0.95)])
    turns = (np.linalg.matrix_power(RIGHT_ANGLE, k) for k in range(4))
    return np.concatenate([corner @ turn for turn in turns])


# name -> (filled outline, outline cut out of it or None), in the unit circle
SHAPES: dict[str, tuple[np.ndarray, np.ndarray | None]] = {
    "disc": (circle(), None),
    "square": (star(4, depth=1.0), None),
    "triangle": (star(3, depth=1.0), None),
    "star": (star(5, depth=0.5), None),
    "cross": (cross(), None),
    "bar": (np.array([(-1, -0.25), (1, -0.25), (1, 0.25), (-1, 0.25)]), None),
    "ring": (circle(), circle(0.6)),
    "crescent": (circle(), circle(0.85, shift=0.4)),
}


def draw(name: str, size: int, channels: int, generator: np.random.Generator) -> np.ndarray:
    """Returns one image (size, size, channels), uint8: a bright shape on a dark, noisy ground."""
    side = size * OVERSAMPLING
    radius = generator.uniform(0.22, 0.4) * side
    centre = generator.uniform(radius, side - radius, size=2)
    angle = generator.uniform(0, 2 * np.pi)
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    mask = Image.new("L", (side, side))
    pencil = ImageDraw.Draw(mask)
    for outline, fill in zip(SHAPES[name], (255, 0), strict=True):
        if outline is not None:
            pencil.polygon([tuple(p) for p in outline @ turn * radius + centre], fill=fill)
    cover = np.asarray(mask.resize((size, size), Image.Resampling.BOX), float)[..., None] / 255
    ground = generator.uniform(0, 90, size=channels)
    colour = generator.uniform(150, 255, size=channels)
    noise = generator.normal(0, 12, size=(size, size, channels))
    return np.clip(ground + cover * (colour - ground) + noise, 0, 255).round().astype(np.uint8)


def draw_split(examples: int, classes: int, size: int, channels: int, seed: int) -> Split:
    """Returns `examples` images, the classes in turn. The same arguments draw the same images."""
    if not 2 <= classes <= len(SHAPES):
        raise InputError(f"synthetic has 2 to {len(SHAPES)} classes, not {classes}")
    if size < 8 or channels not in (1, 3) or examples < 1:
        raise InputError(
            f"synthetic draws at least 1 example of 8 pixels or more in 1 or 3 channels; given "
            f"examples={examples}, size={size}, channels={channels}"
        )
    if seed < 0:
        raise InputError(f"draw_seed must be 0 or more; given {seed}")
    generator = np.random.default_rng(seed)
    names = list(SHAPES)[:classes]
    labels = np.arange(examples, dtype=np.int32) % classes
    images = [draw(names[label], size, channels, generator) for label in labels]
    return Split(np.stack(images), {"label": labels})
