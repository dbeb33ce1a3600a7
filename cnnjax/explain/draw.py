"""Pictures of explanations. Colours are those that need no colour vision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnjax import panels

POSITIVE, SIGNED = "cividis", "RdBu_r"
# Of a layer's maps, those that fit a page.
MOST = 64


def shown(pixels: np.ndarray) -> np.ndarray:
    """Returns pixels (height, width, channels) in [0, 255] as RGB in [0, 1].

    Of images with neither one nor three channels, the mean of the channels.
    """
    pixels = np.asarray(pixels, np.float32) / 255
    if pixels.shape[-1] not in (1, 3):
        pixels = pixels.mean(-1, keepdims=True)
    return np.clip(np.repeat(pixels, 3, -1) if pixels.shape[-1] == 1 else pixels, 0, 1)


def image(ax: Axes, pixels: np.ndarray, title: str = "") -> None:
    ax.imshow(shown(pixels), interpolation="nearest")
    ax.set_title(title, fontsize=panels.SMALL + 1, color=panels.INK)


def label(ax: Axes, text: str) -> None:
    """Writes text where a picture would be."""
    ax.text(
        0.5, 0.5, text, ha="center", va="center", fontsize=panels.SMALL, color=panels.INK,
        transform=ax.transAxes,
    )  # fmt: skip


def heat(pixels: np.ndarray, values: np.ndarray, title: str, caption: str, signed: bool) -> Figure:
    """Draws an image, the heat over it, and the heat alone with its scale.

    Args:
      values: (height, width).
      title: what was seen; caption: how the heat came about.
    """
    made, axes = panels.figure(1, 3, 9.6, 3.9)
    most = float(np.abs(values).max()) or 1.0
    low = -most if signed else 0.0
    image(axes[0, 0], pixels, "image")
    colours = matplotlib.colormaps[SIGNED if signed else POSITIVE]
    scaled = (values - low) / (most - low)
    gray = shown(pixels).mean(-1, keepdims=True)
    axes[0, 1].imshow(0.45 * gray + 0.55 * colours(scaled)[..., :3], interpolation="nearest")
    axes[0, 1].set_title("both", fontsize=panels.SMALL + 1, color=panels.INK)
    mappable = axes[0, 2].imshow(values, colours, vmin=low, vmax=most, interpolation="nearest")
    axes[0, 2].set_title("heat", fontsize=panels.SMALL + 1, color=panels.INK)
    bar = made.colorbar(
        mappable, ax=axes[0, 2], shrink=0.75, label="against, for" if signed else ""
    )
    bar.ax.tick_params(labelsize=panels.SMALL - 1)
    made.suptitle(title, fontsize=panels.SMALL + 3, color=panels.INK)
    made.supxlabel(caption, fontsize=panels.SMALL, color=panels.INK)
    return made


def maps(values: np.ndarray, title: str, names: Sequence[str] = ()) -> Figure:
    """Draws feature maps (height, width, features) on one scale, at most `MOST` of them."""
    count = min(values.shape[-1], MOST)
    values = values[..., :count]
    columns = min(count, 8 if count > 12 else 6)
    rows = -(-count // columns)
    made, axes = panels.figure(rows, columns, 1.2 * columns + 1, 1.3 * rows + 0.9)
    most = float(np.abs(values).max()) or 1.0
    signed = bool((values < 0).any())
    mappable: Any = None
    for m in range(count):
        ax = axes.flat[m]
        mappable = ax.imshow(
            values[..., m], cmap=SIGNED if signed else POSITIVE, vmin=-most if signed else 0,
            vmax=most, interpolation="nearest",
        )  # fmt: skip
        label = names[m] if names else str(m)
        ax.set_title(label, fontsize=panels.SMALL - 1, color=panels.INK)
    bar = made.colorbar(mappable, ax=list(axes.flat), shrink=0.6, aspect=30)
    bar.ax.tick_params(labelsize=panels.SMALL - 1)
    made.suptitle(title, fontsize=panels.SMALL + 3, color=panels.INK)
    return made


def images(pictures: Sequence[np.ndarray], captions: Sequence[str], columns: int, title: str):
    """Draws pictures (height, width, channels) in [0, 255], row by row, each with its caption."""
    rows = -(-len(pictures) // columns)
    made, axes = panels.figure(rows, columns, 1.35 * columns + 0.4, 1.5 * rows + 0.7)
    for ax, picture, caption in zip(axes.flat, pictures, captions, strict=False):
        image(ax, picture)
        ax.set_title(caption, fontsize=panels.SMALL - 1, color=panels.INK)
    made.suptitle(title, fontsize=panels.SMALL + 3, color=panels.INK)
    return made


def kernels(values: np.ndarray, title: str) -> Figure:
    """Draws filters (height, width, channels, features), at most `MOST`.

    Those on three channels in colour, each stretched to its own range with gray for zero; those on
    one channel by sign; of deeper ones, each as the length of its weights over the channels.
    """
    channels = values.shape[2]
    if channels == 3:
        most = np.abs(values).max((0, 1, 2), keepdims=True)
        pictures = 127.5 + 127.5 * values / np.where(most == 0, 1, most)
        pictures = [pictures[..., m] for m in range(min(values.shape[-1], MOST))]
        captions = [str(m) for m in range(len(pictures))]
        return images(pictures, captions, min(8, len(pictures)), title)
    if channels == 1:
        return maps(values[:, :, 0], title)
    return maps(np.linalg.norm(values, axis=2), title)


def triptych(pixels: np.ndarray, before: np.ndarray, after: np.ndarray, title: str) -> Figure:
    """Draws the image, what a convolution makes of it, and what the activation leaves of that.

    Args:
      before, after: (height, width, features); the strongest six after the activation are drawn.
    """
    order = np.argsort(-after.mean((0, 1)), kind="stable")[:6]
    made, axes = panels.figure(2, len(order) + 1, 1.35 * (len(order) + 1), 3.6)
    image(axes[0, 0], pixels, "image")
    for row, (values, name) in enumerate(((before, "convolution"), (after, "activation"))):
        for column, m in enumerate(order, 1):
            most = float(np.abs(before[..., m]).max()) or 1.0
            axes[row, column].imshow(
                values[..., m], cmap=SIGNED, vmin=-most, vmax=most, interpolation="nearest"
            )
            axes[row, column].set_title(f"{name} {m}", fontsize=panels.SMALL - 1, color=panels.INK)
    label(axes[1, 0], "red: the filter\nanswers; blue:\nits negative does;\nwhite: zero")
    made.suptitle(title, fontsize=panels.SMALL + 3, color=panels.INK)
    return made


def journey(pixels: np.ndarray, stages: dict[str, np.ndarray], title: str) -> Figure:
    """Draws how an image changes through a network: a row per layer, its six strongest maps.

    Args:
      stages: layer -> (height, width, features), from the image to the head.
    """
    made, axes = panels.figure(len(stages) + 1, 7, 9.4, 1.28 * (len(stages) + 1) + 0.5)
    image(axes[0, 1], pixels)
    label(axes[0, 0], "image")
    for row, (name, values) in enumerate(stages.items(), 1):
        order = np.argsort(-np.abs(values).mean((0, 1)), kind="stable")[:6]
        most = float(np.abs(values[..., order]).max()) or 1.0
        signed = bool((values[..., order] < 0).any())
        height, width, features = values.shape
        label(axes[row, 0], f"{name}\n{features} maps of\n{height}x{width}")
        for column, m in enumerate(order, 1):
            axes[row, column].imshow(
                values[..., m], cmap=SIGNED if signed else POSITIVE, vmin=-most if signed else 0,
                vmax=most, interpolation="nearest",
            )  # fmt: skip
            axes[row, column].set_title(f"map {m}", fontsize=panels.SMALL - 2, color=panels.INK)
    made.suptitle(title, fontsize=panels.SMALL + 3, color=panels.INK)
    return made
