"""How trials look: one line each, a table of the best and of those at work, what is left."""

from __future__ import annotations

import json
import math
import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from cnnjax import commands, tasks
from cnnjax import config as configuration
from cnnjax.sweep import plan, record, table
from cnnjax.sweep.points import applied
from cnnjax.sweep.record import Sweep
from cnnjax.workdir import files

Rows = Sequence[Mapping[str, Any]]
BEST = 8


def figure(sweep: Sweep, value: float | None) -> str:
    """Returns what decides with its unit: "97.20 %"; nothing where there is no value."""
    return "" if value is None else tasks.shown(value, tasks.units(sweep.task)[sweep.metric])


def short(values: Mapping[str, Any]) -> str:
    """Returns "learning_rate=0.0031 kernel=5"; a whole name where its end would be ambiguous."""
    ends = Counter(name.rpartition(".")[2] for name in values)
    parts = []
    for name, value in values.items():
        end = name.rpartition(".")[2]
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        parts.append(f"{end if ends[end] == 1 else name}={shown}")
    return " ".join(parts)


def flags(sweep: Sweep, values: Mapping[str, Any]) -> list[str]:
    """Returns the flags of experiments.train that make a point out of the sweep's config."""
    before = configuration.flatten(sweep.config)
    found = []
    config = applied(sweep.config, values)
    flat = {
        f"{name}.{key}" if isinstance(entry, Mapping) else name: value
        for name, entry in config.items()
        for key, value in (entry.items() if isinstance(entry, Mapping) else [("", entry)])
    }
    changed = configuration.flatten(config)
    for name, value in flat.items():
        if before.get(name) != changed[name]:
            text = value if isinstance(value, str) else repr(value)
            found.append(f"--config.{name}={text}")
    return found


def steps_taken(folder: Path, sweep: Sweep, number: int) -> int:
    """Returns how many steps the runs of a trial have reported."""
    steps = 0
    for seed in sweep.seed_numbers():
        path = record.workdir(folder, sweep, number, seed) / files.METRICS
        if path.exists():
            steps += last_step(path)
    return steps


def last_step(path: Path) -> int:
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 4096, 0))
        lines = file.read().splitlines()
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0


def counted(found: Rows) -> str:
    """Returns "12 done, 3 pruned, 1 failed" of what there is."""
    states = Counter(r["state"] for r in found if "repeats" not in r)
    order = (plan.DONE, plan.PRUNED, plan.FAILED, plan.INFEASIBLE, plan.RUNNING, plan.PLANNED)
    return ", ".join(f"{states[name]} {name}" for name in order if states[name])


def left(found: Rows, trials: int, workers: int) -> str:
    """Returns how long the rest will take, by the mean of the trials that ended."""
    over = [r["seconds"] for r in found if r["state"] in (plan.DONE, plan.PRUNED, plan.FAILED)]
    if not over or not workers:
        return ""
    seconds = max(trials - len(over), 0) * sum(over) / len(over) / workers
    units = (("s", 1, 90), ("min", 60, 5400), ("h", 3600, math.inf))
    name, size, _ = next(unit for unit in units if seconds < unit[2])
    return f"about {seconds / size:.3g} {name} left"


def line(sweep: Sweep, row: Mapping[str, Any], found: Rows) -> str:
    """Returns the line of a trial that has changed its state."""
    text = f"trial {row['number']} {row['state']}"
    if row["value"] is not None:
        text += f": {sweep.metric} {figure(sweep, row['value'])}"
    text += f"  {short(row['values'])}"
    if "reason" in row:
        text += f"  ({row['reason']})"
    best = table.ranked(sweep, found)[:1]
    if best and best[0]["number"] != row["number"]:
        text += f"; best: trial {best[0]['number']}, {figure(sweep, best[0]['value'])}"
    return text


def best_table(
    folder: Path, sweep: Sweep, found: Rows, trials: int, workers: int, most: int = BEST
) -> Table:
    """Returns the table: the best first, then the trials at work, then counts."""
    counts = "; ".join(filter(None, (counted(found), left(found, trials, workers))))
    shown = Table(caption=counts, caption_justify="left", expand=True, pad_edge=False)
    for name in ("trial", "state", sweep.metric, "progress"):
        shown.add_column(name, no_wrap=True, justify="left" if name == "state" else "right")
    shown.add_column("values", overflow="fold")
    running = [r for r in found if r["state"] == plan.RUNNING]
    bad = [r for r in found if r["state"] in (plan.FAILED, plan.INFEASIBLE)][-2:]
    for row in (*table.ranked(sweep, found)[:most], *running, *bad):
        progress, value = "", figure(sweep, row["value"])
        if row["state"] == plan.RUNNING and row["steps"]:
            share = steps_taken(folder, sweep, row["number"]) / (row["steps"] * sweep.seeds)
            progress = f"{100 * share:.0f} %"
            value = figure(sweep, row["curve"][-1][1]) if row["curve"] else ""
        text = short(row["values"]) + (f" ({row['reason']})" if "reason" in row else "")
        shown.add_row(f"{row['number']}", row["state"], value, progress, text)
    return shown


def command(sweep: Sweep, values: Mapping[str, Any], workdir: str) -> str:
    """Returns the command that trains a point, to be pasted into a shell."""
    words = [*sweep.command, *flags(sweep, values), f"--workdir={workdir}"]
    return " ".join((commands.spelled("train"), *map(shlex.quote, words)))
