"""What a sweep has found: the best points, which fields matter, what was stopped and when."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnjax.sweep import plan, record, show, storage, table
from cnnjax.sweep.record import Sweep
from cnnjax.sweep.statistics import interval
from cnnjax.workdir import files

BEST = 5
Row = Mapping[str, Any]


def importance(sweep: Sweep, kept: Any) -> dict[str, float]:
    """Returns the share of the variance of what decides that each field explains, largest first.

    By functional ANOVA over a random forest (Hutter et al. 2014, ICML), of the trials that are
    done; empty where fewer than four are, or all are alike.
    """
    from optuna import importance as known

    if sweep.population:
        return {}  # What they began with is not what they were trained with.
    study = storage.study(sweep, kept)
    done = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    if len(done) < 4 or len({t.value for t in done}) < 2:
        return {}
    evaluator = known.FanovaImportanceEvaluator(seed=0)
    return known.get_param_importances(study, evaluator=evaluator)


def over_seeds(sweep: Sweep, row: Row) -> str:
    """Returns "97.20 % ± 0.41 % (3 seeds)"."""
    values = [run[sweep.metric] for run in row["validation"] if sweep.metric in run]
    mean, half = interval(values)
    shown = show.figure(sweep, mean)
    if math.isnan(half):
        return f"{shown} (1 seed)"
    return f"{shown} ± {show.figure(sweep, half)} ({len(values)} seeds)"


def text(folder: Path, sweep: Sweep, found: Sequence[Row], shares: Mapping[str, float]) -> str:
    """Returns the report in plain lines; intervals are of 95 %, over the seeds."""
    lines = [f"{folder}: {show.counted(found)}, of {len(found)} trials"]
    best = table.ranked(sweep, found)
    if best:
        lines += ["", f"Best by {sweep.metric} of the validation images:"]
    for row in best[:BEST]:
        lines.append(
            f"  trial {row['number']:>4}  {over_seeds(sweep, row)}  {show.short(row['values'])}"
        )
    if best and not sweep.population:
        lines += [
            "",
            "To train the best:",
            "  " + show.command(sweep, best[0]["values"], "runs/best"),
        ]
    if shares:
        lines += ["", "Share of the variance that a field explains (functional ANOVA):"]
        lines += [f"  {share:6.1%}  {field}" for field, share in shares.items()]
    for state, title in ((plan.PRUNED, "Pruned"), (plan.FAILED, "Failed"),
                         (plan.INFEASIBLE, "Could not exist")):  # fmt: skip
        lines += grouped(title, [row for row in found if row["state"] == state])
    return "\n".join(lines)


def grouped(title: str, those: Sequence[Row]) -> list[str]:
    """Returns the trials that did not get to an end, a line for each reason."""
    reasons: dict[str, list[int]] = {}
    for row in those:
        reason = row.get("reason", "").partition(", at ")[0]
        reasons.setdefault(reason, []).append(row["number"])
    lines = ["", f"{title}:"] if those else []
    for reason, numbers in reasons.items():
        some = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
        lines.append(f"  {len(numbers):>3}: {reason} (trial {some})")
    return lines


def as_csv(sweep: Sweep, found: Sequence[Row]) -> str:
    """Returns the trials as CSV, a line each."""
    fields = [d.field for d in sweep.space.dimensions]
    seeds = [f"{sweep.metric} of seed {seed}" for seed in sweep.seed_numbers()]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["number", "state", sweep.metric, *fields, *seeds, "seconds", "reason"])
    for row in found:
        each = [run.get(sweep.metric) for run in row["validation"]]
        each += [None] * (len(seeds) - len(each))
        values = [row["values"][field] for field in fields]
        writer.writerow(
            [row["number"], row["state"], row["value"], *values, *each[: len(seeds)],
             row["seconds"], row.get("reason", "")]
        )  # fmt: skip
    return out.getvalue()


def curves(folder: Path, sweep: Sweep, found: Sequence[Row]) -> list[dict[str, Any]]:
    """Returns the validations of each trial's first run: `number`, `state`, `step`, `value`."""
    lines = []
    for row in found:
        place = record.workdir(folder, sweep, row["number"], sweep.seed_numbers()[0])
        reports = [r for r in files.validations(place) if sweep.metric in r]
        if reports:
            lines.append(
                {
                    "number": row["number"],
                    "state": row["state"],
                    "step": [r["step"] for r in reports],
                    "value": [r[sweep.metric] for r in reports],
                }
            )
    return lines
