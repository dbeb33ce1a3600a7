"""What an image file says of itself, beside its pixels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from cnnjax.images.read import WHITE, boundary, opened, orientation, pixels


@dataclasses.dataclass(frozen=True)
class Facts:
    """Of one file. `mode` is Pillow's; width and height are those of the upright image."""

    format: str
    mode: str
    width: int
    height: int
    turned: bool
    transparent: bool
    frames: int


def examine(source: Path | bytes, name: str = "") -> tuple[Facts, np.ndarray]:
    """Returns facts and pixels, as `read` gives them; raises InputError, which names the file."""
    with boundary(source, name) as called, opened(source, called) as image:
        turned = orientation(image) != 1
        mode, frames = image.mode, getattr(image, "n_frames", 1)
        transparent = image.has_transparency_data
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        array = pixels(image, 0, WHITE, True, called)
    height, width = array.shape[:2]
    return Facts(kind, mode, width, height, turned, transparent, frames), array


def header(source: Path | bytes, name: str = "") -> tuple[str, int, int]:
    """Returns Pillow's mode, height and width of the upright image; decodes next to nothing."""
    with boundary(source, name) as called, opened(source, called) as image:
        turned, mode = orientation(image) > 4, image.mode
        if turned and image.format == "TIFF":
            image.load()  # Pillow turns these itself, some versions before and some after this
        width, height = image.size
        if turned and image.format != "TIFF":
            width, height = height, width
        return mode, height, width
