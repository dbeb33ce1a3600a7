"""The table of results: from workdirs to a stored record, and from the record to the README."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnjax import history, tasks
from cnnjax.errors import InputError
from cnnjax.workdir import files

BEGIN, END = "<!-- results: written by python -m experiments.results -->", "<!-- end of results -->"
HEADER = (
    "| network | data | epochs | runs | test {}: mean (range) | training | device |",
    "| --- | --- | ---: | ---: | --- | ---: | --- |",
)


def record(workdir: Path, device: str, date: str) -> dict[str, Any]:
    """Returns what is kept of a finished run: its config, result, and where and when it ran."""
    config = files.read_json(workdir / files.CONFIG)
    environment = files.read_json(workdir / files.ENVIRONMENT)
    result = files.read_result(workdir)
    for name in ("data_dir", "manual_dir"):
        config["data"].pop(name)
    kept = ("step", "params", "params_sha256", "seconds")
    return {
        "date": date,
        "device": device,
        "jax": environment["packages"]["jax"],
        "git": environment["git"],
        "config": config,
        "result": {k: v for k, v in result.items() if k in kept or k.startswith("test_")},
    }


def identity(entry: dict[str, Any]) -> str:
    """Returns a digest of all that two runs of one row of the table share: all but the seed."""
    config = history.completed(entry["config"])
    config = {k: v for k, v in config.items() if k not in ("seed", "report")}
    text = json.dumps([config, entry["device"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def add(stored: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the records with `new` ones put in; the same run again replaces the old record."""
    by_run = {(identity(e), e["config"]["seed"]): e for e in (*stored, *new)}
    order = lambda e: (e["config"]["data"]["name"], e["config"]["model"]["name"],  # noqa: E731
                       identity(e), e["config"]["seed"])  # fmt: skip
    return sorted(by_run.values(), key=order)


def table(stored: Sequence[dict[str, Any]]) -> str:
    """Returns the records as Markdown, a table for each figure that chooses the best checkpoint.

    Runs that differ in their seed only share a row.
    """
    figures = {figure_of(entry): None for entry in stored} or {("accuracy", "%"): None}
    parts = []
    for figure in figures:
        rows = rows_of([entry for entry in stored if figure_of(entry) == figure], *figure)
        header = (line.format(figure[0].replace("_", " ")) for line in HEADER)
        parts.append("\n".join((*header, *rows)))
    return "\n\n".join(parts)


def figure_of(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the figure by which runs of a task are compared, and its unit."""
    task = tasks.TASKS[history.completed(entry["config"])["task"]]
    return task.best, tasks.units(task)[task.best]


def rows_of(stored: Sequence[dict[str, Any]], figure: str, unit: str) -> list[str]:
    """Returns the rows of one table."""
    rows = []
    for _, group in itertools.groupby(stored, key=identity):
        runs = list(group)
        config, results = runs[0]["config"], [r["result"] for r in runs]
        scores = [r[f"test_{figure}"] for r in results]
        mean, least, most = sum(scores) / len(scores), min(scores), max(scores)
        if unit == "%":
            text = f"{100 * mean:.2f} % ({100 * least:.2f} to {100 * most:.2f})"
        else:
            text = f"{mean:.4g} {unit}".strip() + f" ({least:.4g} to {most:.4g})"
        seconds = sorted(r["seconds"]["train"] + r["seconds"]["compile"] for r in results)
        rows.append(
            f"| {config['model']['name']} | {config['data']['name']} | {config['epochs']:g} "
            f"| {len(runs)} | {text} | {seconds[len(seconds) // 2]:.0f} s | {runs[0]['device']} |"
        )
    return rows


def written(text: str, stored: Sequence[dict[str, Any]]) -> str:
    """Returns `text` with the table between its two markers."""
    if BEGIN not in text or END not in text:
        raise InputError(f"the text lacks the lines {BEGIN!r} and {END!r}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(stored)}\n{END}{after}"
