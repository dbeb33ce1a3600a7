"""Drawings of a sweep as SVG: parallel coordinates, learning curves, importance, progress."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnjax.sweep import plan, show, table
from cnnjax.sweep.dimension import Dimension
from cnnjax.sweep.record import Sweep

Row = Mapping[str, Any]
STYLE = {
    "font.size": 10.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "cnnjax",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
}
# Trials above this are too many for a curve each.
MOST = 200


def figure(width: float, height: float) -> tuple[Any, Any]:
    """Returns a figure and its axes, in inches; without pyplot, which keeps what it draws."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.add_subplot()


def drawn(draw: Any, *arguments: Any) -> str:
    """Returns what `draw` returns a figure of, as an SVG element; empty where it returns None."""
    import matplotlib

    with matplotlib.rc_context(STYLE):  # pyright: ignore[reportArgumentType]
        made = draw(*arguments)
        if made is None:
            return ""
        out = io.StringIO()
        made.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    return out.getvalue()[out.getvalue().index("<svg") :]


def colours(values: Sequence[float]) -> list[Any]:
    """Returns a colour for each value by its rank, so that one bad trial does not hide the rest."""
    import matplotlib

    ranks = np.argsort(np.argsort(values)) / max(len(values) - 1, 1)
    return [matplotlib.colormaps["viridis"](float(rank)) for rank in ranks]


def distinct(count: int) -> list[Any]:
    """Returns colours that are told apart, also by those who see fewer of them."""
    import matplotlib

    return [matplotlib.colormaps["viridis"](0.9 * i / max(count - 1, 1)) for i in range(count)]


def parallel(sweep: Sweep, found: Sequence[Row]) -> Any:
    """Parallel coordinates: a line for each trial that is done, bright where it is good."""
    done = table.ranked(sweep, found)[::-1]
    if len(done) < 2:
        return None
    made, axes = figure(10, 4.2)
    dimensions = sweep.space.dimensions
    columns = [heights(d, [row["values"][d.field] for row in done]) for d in dimensions]
    values = np.array([row["value"] for row in done])
    low, high = values.min(), values.max()
    columns.append((values - low) / ((high - low) or 1.0))
    for i, colour in enumerate(colours([*range(len(done))])):
        axes.plot([column[i] for column in columns], color=colour, linewidth=1.2, alpha=0.8)
    box = {"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 0.5}
    for i, d in enumerate(dimensions):
        for height, label in ticks(d):
            axes.text(i, height, f" {label}", fontsize=8, va="center", bbox=box)
    for height, value in ((0, low), (1, high)):
        axes.text(len(dimensions), height, f" {show.figure(sweep, value)}", fontsize=8,
                  va="center")  # fmt: skip
    axes.set_xticks(
        range(len(columns)), [*(d.field.replace(".", ".\n") for d in dimensions), sweep.metric]
    )
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    for i in range(len(columns)):
        axes.axvline(i, color="#999999", linewidth=0.8, zorder=0)
    axes.set_xlim(-0.2, len(columns) - 0.6)
    return made


def heights(dimension: Dimension, values: Sequence[Any]) -> np.ndarray:
    """Returns where values stand on their axis, in [0, 1]."""
    if dimension.kind == "choice":
        places = [dimension.choices.index(value) for value in values]
        return np.array(places) / max(len(dimension.choices) - 1, 1)
    scale = math.log if dimension.kind == "log" else float
    low, high = scale(dimension.low), scale(dimension.high)
    return np.array([(scale(value) - low) / ((high - low) or 1.0) for value in values])


def ticks(dimension: Dimension) -> list[tuple[float, str]]:
    """Returns where the ends and choices of an axis stand, and what they are."""
    shown = dimension.ends()
    return [(float(height), f"{value:.4g}" if isinstance(value, float) else str(value))
            for height, value in zip(heights(dimension, shown), shown, strict=True)]  # fmt: skip


def learning(sweep: Sweep, curves: Sequence[Mapping[str, Any]]) -> Any:
    """Learning curves of the first seed of each trial; pruned ones end in a cross."""
    shown = [c for c in curves if c["value"]][:MOST]
    if not shown:
        return None
    made, axes = figure(10, 4)
    sign = -1 if sweep.direction == "minimize" else 1
    for curve, colour in zip(shown, colours([sign * c["value"][-1] for c in shown]), strict=True):
        axes.plot(curve["step"], curve["value"], color=colour, linewidth=1.2, alpha=0.8,
                  marker="." if len(curve["step"]) == 1 else None)  # fmt: skip
        if curve["state"] == plan.PRUNED:
            axes.plot(curve["step"][-1:], curve["value"][-1:], "x", color="#c0392b", markersize=6)
    axes.set_xlabel("training step")
    axes.set_ylabel(f"validation {sweep.metric}")
    return made


def importance(shares: Mapping[str, float]) -> Any:
    """The share of the variance that each field explains."""
    if not shares:
        return None
    made, axes = figure(10, 0.6 + 0.4 * len(shares))
    names = list(shares)[::-1]
    axes.barh(names, [100 * shares[name] for name in names], color="#31688e", height=0.6)
    axes.set_xlabel("share of the variance, %")
    return made


def progress(sweep: Sweep, found: Sequence[Row]) -> Any:
    """What each trial reached, and the best so far."""
    done = [row for row in found if row["state"] == plan.DONE and "repeats" not in row]
    if len(done) < 2:
        return None
    made, axes = figure(10, 3.2)
    values = [row["value"] for row in done]
    best = (np.minimum if sweep.direction == "minimize" else np.maximum).accumulate(values)
    numbers = [row["number"] for row in done]
    axes.plot(numbers, values, "o", color="#31688e", markersize=4, label="trial")
    axes.step(numbers, best, where="post", color="#c0392b", label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(f"validation {sweep.metric}")
    axes.legend(frameon=False)
    return made
