"""Pictures of the arithmetic: windows, edges of an image, padding and stride."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from cnnjax import convolution, panels


def steps() -> Figure:
    """S0's example: a black and a white half under a Sobel kernel, window by window."""
    image = np.zeros((6, 6))
    image[:, 3:] = 255
    found = np.asarray(convolution.correlate(image, convolution.SOBEL_X, "valid"))
    ratios = {"width_ratios": (3.2, 6.2, 6.2, 6.2, 4.2)}
    figure, (axes,) = panels.figure(1, 5, 11, 3.0, **ratios)
    panels.grid(axes[0], convolution.SOBEL_X, "Sobel kernel", -4, 2)
    panels.grid(axes[4], found, "4x4 feature map", 0, 1020)
    for ax, (row, column) in zip(axes[1:4], ((0, 0), (0, 1), (3, 3)), strict=True):
        window = image[row : row + 3, column : column + 3]
        panels.grid(ax, image, f"window at row {row}, column {column}", 0, 255)
        panels.frame(ax, row, column, 3)
        panels.frame(axes[4], row, column, 1)
        caption = arithmetic(window, found[row, column])
        ax.text(2.5, 5.8, caption, ha="center", va="top", fontsize=panels.SMALL)
    for ax in axes:
        ax.set_ylim(6.9, -0.6)  # one scale for all, and room for the sums
    return figure


def arithmetic(window: np.ndarray, total: float) -> str:
    """Returns the products that are not zero, line by line, and their sum."""
    products = [
        f"{weight:g}·{pixel:g}"
        for weight, pixel in zip(convolution.SOBEL_X.flat, window.flat, strict=True)
        if weight * pixel
    ]
    if not products:
        return "nothing but zeros: 0"
    lines = [" + ".join(products[i : i + 3]) for i in range(0, len(products), 3)]
    return "\n+ ".join(lines).replace("+ -", "- ") + f" = {total:g}"


def boundaries() -> Figure:
    """What each rule puts beyond the edges of a row of six pixels."""
    beyond, row = 6, np.array([1.0, 2, 3, 4, 5, 6])
    rules = ("constant", "nearest", "reflect", "mirror", "wrap")
    figure, ((ax,),) = panels.figure(1, 1, 7.4, 2.5)
    ax.set_xlim(-3.6, 18)
    ax.set_ylim(len(rules) - 0.4, -1.3)
    for x, words in ((2.5, "beyond"), (8.5, "the pixels"), (14.5, "beyond")):
        ax.text(x, -0.7, words, ha="center", va="bottom", fontsize=panels.SMALL + 1)
    ax.set_aspect("equal")
    for y, rule in enumerate(rules):
        values = np.asarray(convolution.pad(row, beyond, rule))
        ax.text(-0.9, y, rule, ha="right", va="center", fontsize=panels.SMALL + 1)
        for x, value in enumerate(values):
            inside = beyond <= x < beyond + len(row)
            shade = str(0.35 + 0.6 * value / 6)
            panels.cell(ax, y, x, shade, panels.INK if inside else panels.FAINT)
            colour = panels.INK if value > 1 else "white"
            ax.text(x, y, f"{value:g}", ha="center", va="center", fontsize=8, color=colour)
    for edge in (beyond, beyond + len(row)):
        ax.plot((edge - 0.5,) * 2, (-0.5, len(rules) - 0.5), color=panels.MARK, lw=2.2)
    return figure


def padding_stride() -> Figure:
    """Where the windows of a 3x3 kernel lie on a 5x5 image, for two paddings and two strides."""
    cases = (("valid", 1), ("same", 1), ("valid", 2), ("same", 2))
    figure, (axes,) = panels.figure(1, 4, 10, 2.9)
    for ax, (padding, stride) in zip(axes, cases, strict=True):
        low, high = convolution.padding_widths(5, 3, padding, stride)
        count = convolution.output_size(5, 3, padding, stride)
        for row in range(-low, 5 + high):
            for column in range(-low, 5 + high):
                inside = 0 <= row < 5 and 0 <= column < 5
                panels.cell(
                    ax, row, column, "#c9dff2" if inside else "#f4f4f4", dash="-" if inside else ":"
                )
        centres = np.arange(count) * stride - low + 1
        ax.scatter(*np.meshgrid(centres, centres), s=26, color=panels.INK, zorder=3)
        panels.frame(ax, -low, -low, 3)
        if count > 1:
            panels.frame(ax, -low, stride - low, 3, "#edae49")
        ax.set_xlim(-1.6, 5.6)
        ax.set_ylim(5.6, -1.6)
        ax.set_aspect("equal")
        ax.set_title(f'"{padding}", stride {stride}: {count}x{count}', fontsize=panels.SMALL + 1)
    return figure
