"""What to try next, each from a figure that speaks for it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cnnjax import tasks
from cnnjax.report.evidence import Evidence, series

# A gap between train and validation, an error of calibration, a share of suspects, and a fall of
# the loss in the last two validations that are worth a word.
GAP, UNCALIBRATED, MANY_SUSPECTS, FALLING = 0.02, 0.02, 0.003, 0.02


def advice(evidence: Evidence, parts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns (what to do, the figure that speaks for it).

    `parts` are those of the page by name: calibration, labels, copies, slices, classes.
    """
    found = [
        *(of_the_run(evidence) if evidence.is_run else ()),
        *(of_the_curves(evidence) if evidence.is_run else ()),
        *of_the_data(evidence, parts),
        *of_the_errors(evidence, parts),
    ]
    if not found:
        found = [("Run more seeds before comparing small differences: --config.seed=1, 2, 3",
                  "Nothing in these figures stands out")]  # fmt: skip
    return found


def of_the_run(evidence: Evidence) -> Iterator[tuple[str, str]]:
    if evidence.result is None:
        step = evidence.reports[-1]["step"] if evidence.reports else 0
        yield (
            "Go on with the run: the command that began it, with "
            f"--workdir={shlex.quote(str(evidence.workdir))}",
            f"It has not ended; its last report is of step {step:,}",
        )
    if (evidence.workdir / "nonfinite").is_dir():
        count = len(list((evidence.workdir / "nonfinite").iterdir()))
        yield (
            "A smaller optimizer.learning_rate, optimizer.clip_norm=1 or a warm-up",
            f"{count} steps had a loss or gradient that is not finite",
        )


def of_the_curves(evidence: Evidence) -> Iterator[tuple[str, str]]:
    name = evidence.task.best
    figure = evidence.task.figures.get(name)
    _, train = series(evidence, "train", name)
    epochs, held = series(evidence, "validation", name)
    _, loss = series(evidence, "validation", "loss")
    unit = tasks.units(evidence.task)[name]
    shown, words = name.replace("_", " "), []
    if train and held and figure is not None:
        gap = (train[-1] - held[-1]) * (1 if figure.higher else -1)
        if gap > GAP:
            words.append(
                f"{shown} {tasks.shown(train[-1], unit)} on train, "
                f"{tasks.shown(held[-1], unit)} on validation"
            )
    if words and not evidence.config["augment"]:
        yield (
            "Augment, so that the network learns less by heart: "
            "--config.augment='shift(0.1)|rotate(10)|scale(0.1)', with flip where it leaves the "
            "class alone",
            words[0],
        )
    elif words:
        yield "More weight decay, dropout or data: the network learns by heart", words[0]
    if len(loss) > 3 and min(loss[:-2]) > (1 + FALLING) * loss[-1] and not words:
        yield (
            f"More epochs: --config.epochs={2 * evidence.config['epochs']:g}",
            f"The validation loss was still falling at the end, {loss[-3]:.4f} to {loss[-1]:.4f} "
            "in the last two validations",
        )
    if len(held) > 3 and figure is not None and evidence.config["evaluate"]["select"] == "last":
        best = int(np.argmax(held) if figure.higher else np.argmin(held))
        if abs(held[best] - held[-1]) > GAP / 2:
            yield (
                "Test the best checkpoint: --config.evaluate.select=best",
                f"Validation {shown} was {tasks.shown(held[best], unit)} at epoch "
                f"{epochs[best]:.1f}, and {tasks.shown(held[-1], unit)} at the end",
            )


def of_the_data(evidence: Evidence, parts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    labels, copies, classes = (parts.get(name) for name in ("labels", "copies", "classes"))
    if labels and labels["count"] > MANY_SUSPECTS * labels["looked"]:
        yield (
            "Look at the suspected labels below, and mend those that are wrong",
            f"{labels['count']:,} of {labels['looked']:,} held-out labels are suspected",
        )
    if copies and copies["equal"]:
        yield (
            "Take the copies out of the training: the test is kinder than it should be",
            f"{copies['equal']:,} images of {copies['split']} are among the training images",
        )
    if classes:
        counts = [row["examples"] for row in classes if row["examples"]]
        uniform = evidence.config["data"].get("sampling") == "uniform"
        if max(counts) > 3 * min(counts) and uniform:
            yield (
                "Draw small classes as often as large ones: --config.data.sampling=balanced",
                f"The largest class has {max(counts):,} examples, the smallest {min(counts):,}",
            )


def of_the_errors(evidence: Evidence, parts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    calibration, slices = parts.get("calibration"), parts.get("slices")
    if calibration and calibration["error"] > UNCALIBRATED:
        sure = "too sure" if calibration["temperature"] > 1 else "not sure enough"
        less = calibration["temperature"] > 1 and evidence.config.get("label_smoothing") == 0
        smooth = ", or train with --config.label_smoothing=0.1" if less else ""
        yield (
            f"Divide the logits by {calibration['temperature']:.2f} before they are taken for "
            f"probabilities{smooth}",
            f"The network is {sure} of itself: expected calibration error "
            f"{100 * calibration['error']:.1f} %",
        )
    bad = [row for row in slices["rows"] if row["worse"]] if slices else []
    if slices and bad:
        worst = bad[0]
        how = {
            "brightness": ": --config.augment='brightness(0.3)'",
            "contrast": ": --config.augment='contrast(0.3)'",
        }.get(worst["by"], "")
        yield (
            f"More training examples like the slice {worst['by']} {worst['name']}{how}",
            f"{str(slices['what']).capitalize()}: {worst['mean']} there, {worst['rest']} elsewhere",
        )
