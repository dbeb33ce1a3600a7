"""Pictures of what filters and poolings do to the two photographs bundled with scikit-learn."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from cnnjax import convolution, layers, panels


def gray(name: str) -> np.ndarray:
    """Returns a photograph, "china.jpg" or "flower.jpg", as (213, 320) brightness from 0 to 1."""
    from sklearn.datasets import load_sample_image

    colour = load_sample_image(name).astype(np.float32) / 255
    # ITU-R BT.601: how much red, green and blue add to the brightness that an eye sees.
    bright = colour @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.asarray(layers.average_pool(bright[None, ..., None], 2)[0, ..., 0])


def filters() -> Figure:
    """A temple under a box, the two Sobel filters, their magnitude, and the Laplacian."""
    image = gray("china.jpg")
    slope = convolution.sobel(image)
    smooth = convolution.correlate(image, convolution.box(9), "nearest")
    edges = convolution.correlate(image, convolution.EDGE, "nearest")
    shown = (
        (image, "the photograph", 0, 1),
        (smooth, "box of 9x9: the mean", 0, 1),
        (edges, "edge filter (Laplacian)", -2.5, 2.5),
        (slope.x, "Sobel x: vertical edges", -2, 2),
        (slope.y, "Sobel y: horizontal edges", -2, 2),
        (slope.magnitude, "Sobel magnitude", 0, 2.5),
    )
    figure, axes = panels.figure(2, 3, 9.4, 4.7)
    for ax, (pixels, title, low, high) in zip(axes.flat, shown, strict=True):
        panels.photo(ax, np.asarray(pixels), title, low, high)
    return figure


def pooling() -> Figure:
    """A flower, and what each pooling of 8x8 windows keeps of it."""
    image = gray("flower.jpg")[34:194, 76:236]
    kinds = ("max", "average", "geometric", "harmonic")
    figure, (axes,) = panels.figure(1, 5, 10.5, 2.35)
    panels.photo(axes[0], image, "160x160 pixels", 0, 1)
    for ax, kind in zip(axes[1:], kinds, strict=True):
        pooled = layers.POOLS[kind](image[None, ..., None], 8)[0, ..., 0]
        panels.photo(ax, np.asarray(pooled), f"{kind}: 20x20", 0, 1)
    return figure
