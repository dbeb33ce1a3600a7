"""Pictures inside of a page: as text that an <img> shows."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from cnnjax.explain.draw import shown

# Pixels a side: pictures up to the first stay exact, larger ones are made to fit the second.
EXACT, LARGEST = 64, 112


def picture(pixels: np.ndarray) -> Image.Image:
    """Returns uint8 pixels (height, width, channels) as an RGB picture."""
    return Image.fromarray((255 * shown(pixels) + 0.5).astype(np.uint8))


def of_pixels(pixels: np.ndarray) -> str:
    return of_picture(picture(pixels))


def of_picture(image: Image.Image, largest: int = LARGEST) -> str:
    """Returns a picture as a data URI: exact where it is small, else WebP."""
    if max(image.size) > EXACT:
        image = image.copy()
        image.thumbnail((largest, largest), Image.Resampling.LANCZOS)
        return uri(image, "webp", quality=82)
    grey = image.convert("L")
    same = np.array_equal(np.asarray(grey)[..., None] + np.zeros(3, np.uint8), np.asarray(image))
    return uri(grey if same else image, "png", optimize=True)


def of_figure(figure: Figure) -> str:
    """Returns a figure of matplotlib, on white, as a data URI."""
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor="white", dpi=100)
    with Image.open(out) as image:
        return uri(image.convert("RGB"), "webp", quality=85, method=2)


def uri(image: Image.Image, kind: str, **options: Any) -> str:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
