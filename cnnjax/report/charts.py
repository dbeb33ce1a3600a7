"""Charts as SVG that take the colours of the page, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnjax.report.calibration import Reliability

# Colours that stand for variables of the page's style sheet.
INK, FAINT = "#010203", "#010204"
SERIES = ("#010211", "#010212", "#010213", "#010214", "#010215", "#010216")
VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)"} | {
    colour: f"var(--series{i})" for i, colour in enumerate(SERIES, 1)
}
STYLE = {
    "font.size": 11.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "cnnjax",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
}
Line = tuple[str, Sequence[float], Sequence[float]]


def drawn(name: str, draw: Any, *arguments: Any) -> str:
    """Returns what `draw` puts upon axes, as an SVG element whose ids begin with `name`."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):  # pyright: ignore[reportArgumentType]
        made = Figure(figsize=(5.2, 3.1), layout="constrained")
        draw(made.add_subplot(), *arguments)
        out = io.StringIO()
        made.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", text)
    # Its size is that of its place on the page; what it shows is told by the figure around it.
    text = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">',
                  text, count=1)  # fmt: skip
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)


def curves(axes: Any, lines: Sequence[Line], label: str, unit: str) -> None:
    """Draws lines over epochs: train is thin, validation has points."""
    scale = 100 if unit == "%" else 1
    for i, (name, x, y) in enumerate(lines):
        dots = "o" if len(x) < 40 else None
        axes.plot(
            x, scale * np.asarray(y), color=SERIES[i % len(SERIES)], label=name, marker=dots,
            markersize=3.5, linewidth=1.6, linestyle="-" if i < len(SERIES) else "--",
        )  # fmt: skip
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"{label}, {unit}" if unit else label)
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=10)


def reliability(axes: Any, found: Reliability) -> None:
    """Draws how often predictions of a confidence are right, and how many there are."""
    count = len(found.count)
    middles = (np.arange(count) + 0.5) / count
    some = found.count > 0
    axes.bar(middles[some], found.accuracy[some], 0.9 / count, color=SERIES[0], alpha=0.75,
             label="right")  # fmt: skip
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1, label="calibrated")
    shares = found.count / found.count.sum()
    axes.plot(middles[some], shares[some], color=SERIES[1], marker="o", markersize=3,
              linewidth=1.2, label="share of all")  # fmt: skip
    axes.set_xlabel("confidence")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, fontsize=10, loc="lower left", bbox_to_anchor=(0, 1), ncols=3,
                borderaxespad=0, handlelength=1.2, columnspacing=1.0)  # fmt: skip


def seconds(parts: Mapping[str, float]) -> list[tuple[str, str, float]]:
    """Returns (section, seconds, share in %) for bars of HTML, longest first."""
    total = sum(parts.values()) or 1.0
    order = sorted(parts.items(), key=lambda part: -part[1])
    return [(name, f"{value:,.1f} s", round(100 * value / total, 1)) for name, value in order]
