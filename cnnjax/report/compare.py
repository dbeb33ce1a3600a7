"""Several runs side by side: what differs in what was asked, and in what came out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cnnjax import config as configuration
from cnnjax import tasks
from cnnjax.report import charts, figures, sections
from cnnjax.report.evidence import Evidence, series

MISSING = "none"


def names_of(runs: Sequence[Evidence]) -> list[str]:
    """Returns a name for each run, as short as tells them apart."""
    for parts in range(1, 10):
        names = ["/".join(run.workdir.resolve().parts[-parts:]) for run in runs]
        if len(set(names)) == len(names):
            return names
    return [f"{run.workdir} ({i})" for i, run in enumerate(runs, 1)]


def compared(runs: Sequence[Evidence], names: Sequence[str]) -> dict[str, Any]:
    """Returns the tables and charts of all runs together."""
    return {
        "names": list(names),
        "rows": [*asked(runs), *came_out(runs)],
        "curves": overlaid(runs, names),
        "paired": paired(runs, names),
    }


def asked(runs: Sequence[Evidence]) -> list[tuple[str, list[str]]]:
    """Returns the fields of the configs that are not the same in all runs."""
    flat = [configuration.flatten(run.config) for run in runs]
    fields = sorted({name for one in flat for name in one})
    found = []
    for name in fields:
        values = [json.dumps(one[name]) if name in one else "" for one in flat]
        if len(set(values)) > 1:
            found.append((name, values))
    return found


def came_out(runs: Sequence[Evidence]) -> list[tuple[str, list[str]]]:
    """Returns the figures of the runs, each with its interval."""
    found: dict[str, list[str]] = {}
    for i, run in enumerate(runs):
        rows = {
            row["name"]: row["value"] + (f" ({row['interval']})" if row["interval"] else "")
            for row in sections.headline(run)
        }
        if run.result is not None:
            rows["parameters"] = f"{run.result['params']:,}"
            seconds = run.result["seconds"]
            rows["seconds of training"] = f"{seconds['train'] + seconds['compile']:,.1f}"
        if run.is_run:
            rows["state"] = "complete" if run.result else "not complete"
        for name, value in rows.items():
            found.setdefault(name, [MISSING] * len(runs))[i] = value
    return list(found.items())


def overlaid(runs: Sequence[Evidence], names: Sequence[str]) -> list[dict[str, str]]:
    """Returns the validation curves of all runs in one chart for each figure that they share."""
    found = []
    for figure, unit in tasks.units(runs[0].task).items():
        lines = [
            (name, *series(run, "validation", figure))
            for run, name in zip(runs, names, strict=True)
        ]
        lines = [line for line in lines if line[1]]
        if lines:
            words = figure.replace("_", " ")
            svg = charts.drawn(f"all-{figure}", charts.curves, lines, f"validation {words}", unit)
            ends = ", ".join(f"{n} {tasks.shown(float(y[-1]), unit)}" for n, _, y in lines)
            found.append(
                {"title": f"Validation {words}", "svg": svg, "words": f"At the end: {ends}."}
            )
    return found


def paired(runs: Sequence[Evidence], names: Sequence[str]) -> list[dict[str, Any]]:
    """Compares each later run with the first, on the examples that both were judged by."""
    first, found = runs[0], []
    for run, name in zip(runs[1:], names[1:], strict=True):
        one, other = first.judged, run.judged
        if one is None or other is None or one.logits is None or other.logits is None:
            continue
        same = one.name == other.name and len(one.split) == len(other.split)
        if not same or not (one.labels == other.labels).all():
            continue
        right = [j.logits.argmax(1) == j.labels for j in (one, other) if j.logits is not None]
        mine, theirs, p = figures.paired(*right)
        found.append({"name": name, "first": mine, "second": theirs, "p": f"{p:.2g}"})
    return found
