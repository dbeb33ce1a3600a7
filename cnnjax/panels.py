"""What the pictures share: figures of one style, images in a row, grids of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

INK, FAINT, MARK = "#222222", "#9aa0a6", "#d1495b"
SMALL = 8  # points


def figure(rows: int, columns: int, width: float, height: float, **ratios: Sequence[float]):
    """Returns a figure of `width` x `height` inches and its axes, (rows, columns), all bare."""
    made = Figure(figsize=(width, height), dpi=110, layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False, gridspec_kw=ratios)
    for ax in axes.flat:
        ax.set_axis_off()
    return made, axes


def photo(ax: Axes, pixels: np.ndarray, title: str, low: float, high: float) -> None:
    """Shows gray pixels, black at `low` and white at `high`, each as a sharp square."""
    ax.imshow(pixels, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    ax.set_title(title, fontsize=SMALL + 1, color=INK)


def signed(ax: Axes, values: np.ndarray, title: str = "") -> None:
    """Shows numbers of either sign: white is zero, red positive, blue negative."""
    most = float(np.abs(values).max()) or 1.0
    ax.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
    ax.set_title(title, fontsize=SMALL, color=INK)


def grid(ax: Axes, values: np.ndarray, title: str, low: float, high: float) -> None:
    """Draws a matrix as cells with their numbers, shaded from black to white."""
    rows, columns = values.shape
    ax.set_xlim(-0.55, columns - 0.45)
    ax.set_ylim(rows - 0.45, -0.55)
    ax.set_aspect("equal")
    ax.set_title(title, fontsize=SMALL + 1, color=INK)
    for (row, column), value in np.ndenumerate(values):
        shade = float(np.clip((value - low) / (high - low), 0, 1))
        cell(ax, row, column, str(0.25 + 0.75 * shade))
        ax.text(
            column,
            row,
            f"{value:g}",
            ha="center",
            va="center",
            fontsize=SMALL - 0.5,
            color="white" if shade < 0.35 else INK,
        )


def cell(ax: Axes, row: float, column: float, colour: str, edge: str = FAINT, dash="-") -> None:
    """Draws one square of side 1 around (row, column)."""
    corner = (column - 0.5, row - 0.5)
    ax.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor=edge, lw=0.7, ls=dash))


def frame(ax: Axes, row: float, column: float, size: float, colour: str = MARK) -> None:
    """Draws a thick frame around `size` x `size` cells, the first of them at (row, column)."""
    corner = (column - 0.5, row - 0.5)
    ax.add_patch(Rectangle(corner, size, size, fill=False, edgecolor=colour, lw=2.2))
