"""The trials of a sweep as plain records: what trials.jsonl holds, and every report reads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnjax.sweep import plan, record, storage
from cnnjax.sweep.record import Sweep
from cnnjax.workdir import files


def rows(sweep: Sweep, kept: Any) -> list[dict[str, Any]]:
    """Returns one record per trial, in the order of their numbers.

    `state` is planned, running, done, pruned, failed or infeasible; `value` what decides: the mean
    over the seeds. A trial that repeats another has its answers, and says so.
    """
    trials = storage.sturdy(lambda: storage.study(sweep, kept).get_trials(deepcopy=False))
    return [row(sweep, trial, trials) for trial in trials]


def row(sweep: Sweep, trial: Any, trials: Sequence[Any]) -> dict[str, Any]:
    notes = dict(trial.user_attrs)
    repeats = notes.get(plan.REPEATS)
    if repeats is not None:
        found = row(sweep, trials[repeats], trials)
        return {**found, "number": trial.number, "repeats": repeats, "seconds": 0.0}
    runs = notes.get(plan.RUNS, [])
    state = notes.get(plan.STATE, plan.PLANNED)
    if not trial.state.is_finished() and state != plan.PLANNED:
        # What it ended in is noted just before it has ended.
        state = plan.RUNNING
    found = {
        "number": trial.number,
        "state": state,
        "values": sweep.space.point(trial.params),
        "value": trial.values[0] if trial.values else None,
        "seeds": [run["seed"] for run in runs],
        "validation": [run["validation"] for run in runs],
        "params_sha256": [run.get("params_sha256") for run in runs],
        "seconds": notes.get(plan.SECONDS, 0.0),
        "steps": notes.get(plan.STEPS),
        "begun": len(notes.get(plan.BEGUN, [])),
        "curve": [[k, v] for k, v in sorted(trial.intermediate_values.items())],
    }
    if plan.SCHEDULE in notes:
        # Of a member of a population: what its weights were trained with, and with what at last.
        found[plan.SCHEDULE] = notes[plan.SCHEDULE]
        found["values"] = notes[plan.SCHEDULE][-1]["values"]
    if plan.REASON in notes:
        found["reason"] = notes[plan.REASON]
    return found


def write(folder: Path, sweep: Sweep, kept: Any) -> list[dict[str, Any]]:
    """Writes trials.jsonl anew from the storage, and returns its records."""
    found = rows(sweep, kept)
    part = folder / f"{record.TABLE}.part-{os.getpid()}"
    part.write_text("".join(files.as_json(one) + "\n" for one in found))
    os.replace(part, folder / record.TABLE)
    return found


def ranked(sweep: Sweep, found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the trials that are done, best first, each point once."""
    done = [r for r in found if r["state"] == plan.DONE and "repeats" not in r]
    return sorted(done, key=lambda r: r["value"], reverse=sweep.direction == "maximize")
