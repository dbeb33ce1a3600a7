"""How a map is made, window by window, as an animation."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

from cnnjax.explain.draw import POSITIVE, SIGNED
from cnnjax.structure import receptive
from cnnjax.structure.graph import Graph

SIDE = 320  # pixels of each of the two pictures
GAP, TOP, FRAMES = 24, 28, 144
MARK = "#e8590c"  # seen on blue, yellow, red and gray
INK, PAPER = "#222222", "#ffffff"


def source(graph: Graph, layer: str) -> str | None:
    """Returns the layer before, whose maps `layer` slides over; None for the image."""
    before = graph.spatial[: graph.spatial.index(layer)]
    inside = [n for n in before if f"{layer}/" not in f"{n}/" and not layer.startswith(f"{n}/")]
    outside = [n for n in inside if not n.startswith(f"{layer}/")]
    return outside[-1] if outside else None


def windows(graph: Graph, layer: str, below: str | None) -> list[receptive.Reach] | None:
    """Returns what rows and columns of `layer` see of `below`; None where that is everything."""
    jaxpr = graph.jaxpr
    if below is None:
        view = graph.views.get(graph.layers[layer])
    else:
        start = graph.layers[below]
        last = max(i for i, e in enumerate(jaxpr.eqns) if start in e.outvars)
        after = jaxpr.replace(
            invars=[*jaxpr.invars, start], eqns=jaxpr.eqns[last + 1 :], debug_info=None
        )
        view = receptive.views_of(after).get(graph.layers[layer])
    reaches = [reach for reach in view or () if reach is not None]
    return reaches if len(reaches) == 2 else None


def frames(
    below: np.ndarray, above: np.ndarray, reaches: list[receptive.Reach], caption: str
) -> Iterator[Image.Image]:
    """Yields pictures of a window on `below` and of `above` as far as it is computed.

    Args:
      below: (height, width) or RGB (height, width, 3) in [0, 1].
      above: (height, width).
      reaches: of the rows and columns of `above` into `below`.
    """
    places = list(np.ndindex(*above.shape))
    left = picture(below, POSITIVE if below.ndim == 2 and below.min() >= 0 else SIGNED)
    most = float(np.abs(above).max()) or 1.0
    shown = set(np.linspace(0, len(places) - 1, min(len(places), FRAMES)).round().astype(int))
    for i, (row, column) in enumerate(places):
        if i not in shown:
            continue
        known = np.where(np.arange(above.size).reshape(above.shape) <= i, above, np.nan)
        canvas = Image.new("RGB", (2 * SIDE + 3 * GAP, SIDE + TOP + GAP), PAPER)
        canvas.paste(left, (GAP, TOP))
        canvas.paste(
            picture(known, SIGNED if above.min() < 0 else POSITIVE, most), (SIDE + 2 * GAP, TOP)
        )
        draw = ImageDraw.Draw(canvas)
        box = [
            reach.first + place * reach.step
            for reach, place in zip(reaches, (row, column), strict=True)
        ]
        end = [start + reach.size for start, reach in zip(box, reaches, strict=True)]
        frame(draw, GAP, below.shape[:2], box, end)
        frame(draw, SIDE + 2 * GAP, above.shape, (row, column), (row + 1, column + 1))
        draw.text((GAP, 7), caption, INK)
        draw.text((SIDE + 2 * GAP, 7), f"row {row}, column {column}: {above[row, column]:.3f}", INK)
        yield canvas


def picture(values: np.ndarray, colours: str, most: float | None = None) -> Image.Image:
    """Returns values as a square picture; what is not a number stays gray."""
    if values.ndim == 3:
        pixels = values
    else:
        most = most or float(np.nanmax(np.abs(values))) or 1.0
        low = -most if colours == SIGNED else 0.0
        table = matplotlib.colormaps[colours].with_extremes(bad="#d0d0d0")
        pixels = table(np.ma.masked_invalid((values - low) / (most - low)))[..., :3]
    small = Image.fromarray((255 * np.clip(pixels, 0, 1)).astype(np.uint8))
    return small.resize((SIDE, SIDE), Image.Resampling.NEAREST)


def frame(draw: ImageDraw.ImageDraw, left: int, sizes, first, end) -> None:
    """Draws a frame around the rows and columns [first, end), as far as they are in the picture."""
    edges = []
    for axis in (1, 0):
        scale = SIDE / sizes[axis]
        edges.append((max(first[axis], 0) * scale, min(end[axis], sizes[axis]) * scale - 1))
    (x0, x1), (y0, y1) = edges
    draw.rectangle(
        (left + x0, TOP + y0, left + max(x1, x0 + 1), TOP + max(y1, y0 + 1)), outline=MARK, width=3
    )


def save(pictures: list[Image.Image], path: str, milliseconds: int = 90) -> None:
    """Writes an animated GIF that rests on its last picture."""
    durations = [milliseconds] * (len(pictures) - 1) + [1500]
    first, *rest = (p.quantize(128) for p in pictures)
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0)
