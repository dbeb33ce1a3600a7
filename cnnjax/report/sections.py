"""The parts of a run's page, as plain values for its template."""

from __future__ import annotations

import base64
import json
import math
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from cnnjax import commands, tasks
from cnnjax.errors import InputError
from cnnjax.report import advice, calibration, charts, doubts, figures, mistakes, seen, summary
from cnnjax.report.evidence import Evidence, changes, series
from cnnjax.structure import layers

# Rows of the network's table; deeper networks are shown by their blocks.
MOST_LAYERS = 60
LEAST_CLASSES = 10  # for which the five best guesses are counted, too


def of_run(evidence: Evidence, name: str) -> dict[str, Any]:
    """Returns everything that the page shows of a run, in its template's words.

    `name` is unique on the page.
    """
    classified = evidence.judged is not None and evidence.judged.logits is not None
    judged = evidence.judged
    parts: dict[str, Any] = {
        "id": name,
        "evidence": evidence,
        "ran": ran(evidence),
        "counts": counts(evidence),
        "headline": headline(evidence),
        "curves": curves(evidence, name),
        "classes": classes(evidence) if classified else None,
        "confusion": mistakes.confusion(evidence) if classified else None,
        "calibration": calibrated(evidence, name) if classified else None,
        "galleries": mistakes.galleries(evidence) if classified else [],
        "worst": mistakes.worst(evidence) if judged is not None and not classified else [],
        "slices": doubts.worst_slices(evidence),
        "labels": doubts.wrong_labels(evidence),
        "copies": doubts.copies(evidence),
        "seen": seen.pictures(evidence),
        "network": network(evidence),
        "seconds": charts.seconds(evidence.result["seconds"]) if evidence.result else [],
        "environment": environment(evidence),
    }
    has = {
        **dict.fromkeys(("ran", "advice"), True),
        "figures": bool(parts["headline"]),
        "mistakes": judged is not None,
        **{
            name: bool(parts[name])
            for name in ("curves", "confusion", "classes", "calibration", "slices", "labels",
                         "copies", "seen", "network", "seconds", "environment")
        },
    }  # fmt: skip
    return parts | {"advice": advice.advice(evidence, parts), "has": has}


def ran(evidence: Evidence) -> dict[str, Any]:
    config, result = evidence.config, evidence.result
    if not evidence.is_run:
        return of_file(evidence)
    shape = "x".join(map(str, evidence.stored["shape"]))
    if result is not None:
        status = f"Complete: {result['step']:,} steps."
    else:
        step = evidence.reports[-1]["step"] if evidence.reports else 0
        status = f"Not complete: the last report is of step {step:,}."
    text = json.dumps(config, indent=2) + "\n"
    return {
        "title": f"{config['model']['name']} on {config['data']['name']}",
        "workdir": str(evidence.workdir),
        "words": f"{config['task']}; images of {shape}; {config['epochs']:g} epochs of batches of "
        f"{config['batch_size']}; {config['optimizer']['name']}; seed {config['seed']}.",
        "status": status,
        "command": f"{commands.spelled('train')} --config=configs/stored.py:config.json "
        "--workdir=runs/again",
        "config": base64.b64encode(text.encode()).decode(),
        "changes": changes(config),
        "commit": (evidence.environment.get("git") or {}).get("commit", ""),
    }


def of_file(evidence: Evidence) -> dict[str, Any]:
    """Returns what can be said of a file of weights in place of a run."""
    config, file = evidence.config, shlex.quote(str(evidence.workdir))
    assert evidence.network is not None
    return {
        "title": f"{config['model']['name']} on {config['data']['name']}",
        "workdir": str(evidence.workdir),
        "words": f"{config['task']}; images of {'x'.join(map(str, evidence.network.shape))}.",
        "status": "A file of weights; how it was trained is not known.",
        "command": f"{commands.spelled('evaluate')} --weights={file} "
        f"--data={config['data']['name']}",
        "config": "",
        "changes": [],
        "commit": "",
    }


def counts(evidence: Evidence) -> list[tuple[str, str]]:
    """Returns what was counted, before anything that is computed of it."""
    found = [(f"{n} examples", f"{c:,}") for n, c in evidence.stored["examples"].items()]
    if evidence.class_names:
        found.append(("classes", f"{len(evidence.class_names):,}"))
    judged = evidence.judged
    if judged is not None:
        found.append((f"{judged.name} examples looked at", f"{len(judged.split):,}"))
        if judged.logits is not None:
            wrong = int((judged.logits.argmax(1) != judged.labels).sum())
            found.append(("of them wrong", f"{wrong:,}"))
    return found


def headline(evidence: Evidence) -> list[dict[str, str]]:
    """Returns the figures of the task with, where they are shares, their 95 % intervals."""
    units, found = tasks.units(evidence.task), []
    for name, value, count, where in reported(evidence):
        share = units[name] == "%" and count and math.isfinite(value)
        interval = spanned(value * count, count) if share else ""
        shown = tasks.shown(value, units[name])
        found.append(figure_of(f"{where} {name.replace('_', ' ')}", shown, interval))
    judged = evidence.judged
    if judged is not None and judged.logits is not None:
        count = len(judged.split)
        if len(evidence.class_names) >= LEAST_CLASSES:
            hits = figures.top(judged.logits, judged.labels, 5)
            shown = tasks.shown(hits / count, "%")
            found.append(figure_of(f"{judged.name} top-5 accuracy", shown, spanned(hits, count)))
        predicted = judged.logits.argmax(1)
        matrix = figures.confusion(judged.labels, predicted, len(evidence.class_names))
        mean = float(np.nanmean(figures.per_class(matrix).f1))
        found.append(figure_of(f"{judged.name} mean F1", tasks.shown(mean, "%")))
    return found


def figure_of(name: str, value: str, interval: str = "") -> dict[str, str]:
    return {"name": name, "value": value, "interval": interval}


def spanned(successes: float, count: int) -> str:
    """Returns the 95 % interval of a share for people."""
    low, high = (100 * float(end) for end in figures.wilson(successes, count))
    return f"{low:.2f} to {high:.2f} %"


def reported(evidence: Evidence) -> list[tuple[str, float, int, str]]:
    """Returns (figure, value, examples, split) of the result, or of the last validation."""
    names = [*evidence.task.figures, "loss"]
    if not evidence.is_run and evidence.judged is not None:
        return computed(evidence)
    if evidence.result is not None:
        values, count = evidence.result, int(evidence.result.get("test_examples", 0))
        return [(n, values[f"test_{n}"], count, "test") for n in names if f"test_{n}" in values]
    held = [report for report in evidence.reports if report.get("split") == "validation"]
    last: Mapping[str, Any] = held[-1] if held else {}
    count = int(last.get("examples", 0))
    return [(n, last[n], count, "validation") for n in names if n in last]


def computed(evidence: Evidence) -> list[tuple[str, float, int, str]]:
    """Returns the loss, and a classifier's accuracy, of the judged examples."""
    judged = evidence.held[0]
    found = [("loss", float(judged.losses.mean()), len(judged.split), judged.name)]
    if judged.logits is not None:
        right = float((judged.logits.argmax(1) == judged.labels).mean())
        found.insert(0, ("accuracy", right, len(judged.split), judged.name))
    return found


def curves(evidence: Evidence, name: str) -> list[dict[str, str]]:
    """Returns a chart of the loss and of each figure, over epochs."""
    found = []
    for figure, unit in tasks.units(evidence.task).items():
        lines = [(s, *series(evidence, s, figure)) for s in ("train", "validation")]
        lines = [line for line in lines if line[1]]
        if not lines:
            continue
        words = figure.replace("_", " ")
        ends = ", ".join(f"{s} ends at {tasks.shown(float(y[-1]), unit)}" for s, _, y in lines)
        smoothing = evidence.config["label_smoothing"]
        if figure == "loss" and smoothing:
            ends += f". That of train is of smoothed labels ({smoothing:g})"
        chart = charts.drawn(f"{name}-{figure}", charts.curves, lines, words, unit)
        found.append({"title": words.capitalize(), "svg": chart, "words": ends + "."})
    return found


def classes(evidence: Evidence) -> list[dict[str, Any]]:
    """Returns a row per class, the lowest F1 first."""
    judged = evidence.judged
    assert judged is not None and judged.logits is not None
    matrix = figures.confusion(judged.labels, judged.logits.argmax(1), len(evidence.class_names))
    found, rows = figures.per_class(matrix), []
    for i, name in enumerate(evidence.class_names):
        row: dict[str, Any] = {"name": name, "examples": int(found.examples[i])}
        for figure in ("precision", "recall", "f1"):
            value = float(getattr(found, figure)[i])
            low, high = (float(end[i]) for end in found.intervals[figure])
            row[figure] = {
                "value": -1.0 if math.isnan(value) else value,
                "text": "none" if math.isnan(value) else f"{100 * value:.1f}",
                "interval": f"{100 * low:.1f} to {100 * high:.1f}",
            }
        rows.append(row)
    return sorted(rows, key=lambda row: row["f1"]["value"])


def calibrated(evidence: Evidence, name: str) -> dict[str, Any]:
    """Returns the calibration of the judged split, and the temperature that would mend it.

    The temperature is fitted on another split that is held out, where there is one.
    """
    judged, fitted = evidence.held[0], evidence.held[-1]
    assert judged.logits is not None and fitted.logits is not None
    heat = calibration.temperature(fitted.logits, fitted.labels)
    correct = judged.logits.argmax(1) == judged.labels
    before, after = (
        calibration.reliability(special.softmax(judged.logits / t, 1).max(1), correct)
        for t in (1.0, heat)
    )
    return {
        "error": before.error,
        "after": after.error,
        "temperature": heat,
        "fitted": fitted.name,
        "apart": fitted is not judged,
        "split": judged.name,
        "bins": calibration.BINS,
        "svg": charts.drawn(f"{name}-reliability", charts.reliability, before),
    }


def network(evidence: Evidence) -> dict[str, Any] | None:
    """Returns the network's table, by layers or by blocks, and its totals."""
    if evidence.network is None:
        return None
    try:
        traced = layers.trace(evidence.network.module, evidence.network.shape)
    except InputError:
        return None
    by = "layer" if len(traced.layers) <= MOST_LAYERS else "block"
    rows = layers.grouped(traced, by)
    sums = summary.totals(rows)
    return {
        "header": summary.HEADER,
        "rows": [summary.row(row) for row in rows],
        "params": f"{sums['params']:,}",
        "macs": f"{sums['macs']:,}",
        "activations": summary.memory(sums["activation_bytes"]),
    }


def environment(evidence: Evidence) -> list[tuple[str, str]]:
    """Returns what the run ran on, a line for each."""
    known = evidence.environment
    devices, git = known.get("devices") or {}, known.get("git") or {}
    lines = [
        ("Python", known.get("python")),
        ("machine", known.get("machine")),
        ("processor", known.get("processor")),
        ("cores", known.get("cores")),
        ("devices", f"{devices.get('count')} x {devices.get('kind')}" if devices else None),
        ("commit", git and git["commit"] + (", with changes" if git["dirty"] else "")),
        ("oneDNN", known.get("oneDNN")),
        ("XLA_FLAGS", known.get("XLA_FLAGS")),
        *(known.get("packages") or {}).items(),
    ]
    return [(name, str(value)) for name, value in lines if value]
