"""A contact sheet: what each augmentation makes of a photograph, several times over."""

from __future__ import annotations

import jax
import numpy as np
from matplotlib.figure import Figure

from cnnjax import augment, compiler, panels

# One of each kind, stronger than for training so that it is seen, and pipelines as they are used.
GEOMETRY = (
    "crop(16)", "flip", "vflip", "shift(0.25)", "rotate(30)", "rotate(30, reflect)",
    "scale(0.4)", "zoom(1, 2)", "stretch(0.5)", "shear(30)", "resized_crop(0.25)",
    "crop(8)|flip|rotate(15)|hue(0.05)",
)  # fmt: skip
REST = (
    "brightness(0.6)", "contrast(0.8)", "gamma(0.7)", "saturation(1)", "hue(0.5)", "grey(0.5)",
    "noise(30)", "blur(4)", "cutout(32)", "mixup(1)", "cutmix(1)",
    "resized_crop(0.3)|flip|brightness(0.3)|cutmix(1)",
)  # fmt: skip
DRAWS = 5


def photographs(size: int = 96) -> np.ndarray:
    """Returns a temple and a flower, (2, size, size, 3) uint8: scikit-learn's photographs."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    squares = {"china.jpg": (120, 30, 500, 410), "flower.jpg": (160, 60, 480, 380)}
    images = [
        Image.fromarray(load_sample_image(name)).resize((size, size), box=box)
        for name, box in squares.items()
    ]
    return np.stack([np.asarray(image) for image in images])


def contact_sheet(seed: int = 0) -> Figure:
    """Every augmentation: the photograph at the left of a row, and what `DRAWS` draws made of it.

    Mixing has a flower as its partner. A palette of 256 colours is too small for this picture.
    """
    columns = (1, *[1] * DRAWS)
    ratios = {"width_ratios": (*columns, 0.15, *columns)}
    figure, axes = panels.figure(len(GEOMETRY), 2 * len(columns) + 1, 11, 12, **ratios)
    pair = photographs()
    for left, texts in ((0, GEOMETRY), (len(columns) + 1, REST)):
        for row, text in zip(axes, texts, strict=True):
            cells = row[left : left + len(columns)]
            for ax, image in zip(cells, [pair[0], *draws(text, pair, seed)], strict=True):
                ax.imshow(image, interpolation="nearest")
            # A title would be as wide as its column, and part the first from the second.
            place = {"transform": cells[0].transAxes, "in_layout": False}
            cells[0].text(0, 1.05, text, fontsize=panels.SMALL, color=panels.INK, **place)
    figure.suptitle(f"A photograph, and what {DRAWS} draws make of it", fontsize=panels.SMALL + 3)
    figure.set_layout_engine("constrained", h_pad=0.1, w_pad=0.02)
    return figure


def draws(text: str, pair: np.ndarray, seed: int) -> np.ndarray:
    """Returns what the pipeline `text` makes of the first of `pair`, `DRAWS` times over."""
    batch = np.tile(pair, (DRAWS, 1, 1, 1))  # neighbours are different images
    change = compiler.jit(augment.pipeline(text, pair.shape[1:]))
    images, _ = change(jax.random.key(seed), batch, np.zeros(len(batch), np.int32))
    return np.asarray(images.round().astype(np.uint8))[::2]
