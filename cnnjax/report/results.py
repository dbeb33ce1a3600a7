"""The table of results: from workdirs to a stored record, and from the record to the README."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnjax import config as configuration
from cnnjax.errors import InputError
from cnnjax.workdir import files

BEGIN, END = "<!-- results: written by python -m experiments.results -->", "<!-- end of results -->"
HEADER = (
    "| network | data | epochs | runs | test accuracy: mean (range) | training | device |",
    "| --- | --- | ---: | ---: | --- | ---: | --- |",
)


def record(workdir: Path, device: str, date: str) -> dict[str, Any]:
    """Returns what is kept of a finished run: its config, result, and where and when it ran."""
    config = files.read_json(workdir / files.CONFIG)
    environment = files.read_json(workdir / files.ENVIRONMENT)
    result = files.read_json(workdir / files.RESULT)
    for name in ("data_dir", "manual_dir"):
        config["data"].pop(name)
    kept = ("test_accuracy", "test_loss", "test_examples", "step", "params", "params_sha256",
            "seconds")  # fmt: skip
    return {
        "date": date,
        "device": device,
        "jax": environment["packages"]["jax"],
        "git": environment["git"],
        "config": config,
        "result": {name: result[name] for name in kept},
    }


def identity(entry: dict[str, Any]) -> str:
    """Returns a digest of all that two runs of one row of the table share: all but the seed."""
    config = configuration.completed(entry["config"])
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
    """Returns the records as a Markdown table, a row for runs that differ in their seed only."""
    rows: list[str] = list(HEADER)
    for _, group in itertools.groupby(stored, key=identity):
        runs = list(group)
        config, results = runs[0]["config"], [r["result"] for r in runs]
        scores = [100 * r["test_accuracy"] for r in results]
        seconds = sorted(r["seconds"]["train"] + r["seconds"]["compile"] for r in results)
        rows.append(
            f"| {config['model']['name']} | {config['data']['name']} | {config['epochs']:g} "
            f"| {len(runs)} | {sum(scores) / len(scores):.2f} % ({min(scores):.2f} to "
            f"{max(scores):.2f}) | {seconds[len(seconds) // 2]:.0f} s | {runs[0]['device']} |"
        )
    return "\n".join(rows)


def written(text: str, stored: Sequence[dict[str, Any]]) -> str:
    """Returns `text` with the table between its two markers."""
    if BEGIN not in text or END not in text:
        raise InputError(f"the text lacks the lines {BEGIN!r} and {END!r}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(stored)}\n{END}{after}"
