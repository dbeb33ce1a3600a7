"""The report of one or several runs as one HTML file that needs nothing else."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnjax.report import compare, sections
from cnnjax.report.evidence import Evidence

HERE = Path(__file__).parent
LARGEST = 4_900_000  # bytes of a page
# Parts of a page: (anchor, title), in their order.
PARTS = (
    ("ran", "What was run"), ("figures", "Figures"), ("curves", "Curves"),
    ("confusion", "Confusion"), ("classes", "Classes"), ("calibration", "Calibration"),
    ("mistakes", "Mistakes"), ("slices", "Slices"), ("labels", "Suspected labels"),
    ("copies", "Near duplicates"), ("seen", "What it sees"), ("network", "Network"),
    ("seconds", "Time"), ("environment", "Environment"), ("advice", "What to try next"),
)  # fmt: skip


def html(runs: Sequence[Evidence]) -> str:
    """Returns the page; with fewer pictures where it would be too large."""
    names = compare.names_of(runs)
    parts = [sections.of_run(run, f"run{i}") for i, run in enumerate(runs, 1)]
    together = compare.compared(runs, names) if len(runs) > 1 else None
    share, text = 1.0, ""
    while share > 0.01:
        shown = [trimmed(one, share) for one in parts]
        text = rendered(shown, names, together)
        if len(text.encode()) <= LARGEST:
            break
        share /= 2
    return text


def trimmed(parts: dict[str, Any], share: float) -> dict[str, Any]:
    """Returns the parts of a run with a share of their pictures, at least one of each kind."""
    if share == 1:
        return parts

    def few(pictures: list[Any]) -> list[Any]:
        return pictures[: max(1, round(share * len(pictures)))]

    shown = {**parts, "worst": few(parts["worst"]), "seen": few(parts["seen"])}
    for name in ("labels", "copies"):
        if parts[name]:
            shown[name] = {**parts[name], "pictures": few(parts[name]["pictures"])}
    shown["galleries"] = [{**g, "pictures": few(g["pictures"])} for g in parts["galleries"]]
    if parts["confusion"]:
        confusion = {**parts["confusion"]}
        confusion["cells"] = [
            {**cell, "pictures": few(cell["pictures"])} for cell in confusion["cells"]
        ]
        shown["confusion"] = confusion
    return shown


def rendered(parts: list[dict[str, Any]], names: list[str], together: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    title = parts[0]["ran"]["title"] if len(parts) == 1 else f"{len(parts)} runs side by side"
    return environment.get_template("page.html").render(
        title=title,
        runs=copy.copy(parts),
        names=names,
        together=together,
        sections=PARTS,
        style=(HERE / "page.css").read_text(),
        script=(HERE / "page.js").read_text(),
    )


def write(runs: Sequence[Evidence], path: Path) -> int:
    """Writes the page, so that a reader finds the old one or the new; returns its bytes."""
    text = html(runs).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(text)
    part.replace(path)
    return len(text)
