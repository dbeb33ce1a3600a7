"""The page of a study: claim, answer, numbers, and how they came about."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.sweep import plots
from cnnjax.sweep.statistics import interval
from cnnjax.sweep.study import Difference, Study

Figures = Mapping[str, Mapping[str, float]]
Curves = Mapping[str, Mapping[float, Sequence[float]]]


def markdown(
    name: str,
    study: Study,
    found: Mapping[str, Sequence[float]],
    beside: Figures,
    made: Sequence[Difference],
    verdict: str,
    machine: str,
    date: str,
) -> str:
    """Returns the page; the pictures lie beside it."""
    return "\n\n".join(
        (
            f"# {study.question}",
            f"> {study.claim}\n>\n> {study.source}",
            f"**{verdict.capitalize()}**, by {study.seeds} seeds of each point.",
            f"![Differences with their intervals]({name}.svg)",
            "\n".join(means(study, found, beside)),
            "Each point compared with another, in pairs of one seed (paired t-test):",
            "\n".join(differences(study, made)),
            *([f"![{study.curve.figure}]({name}_curve.svg)"] if study.curve else []),
            described(study),
            "Intervals are of 95 %, by Student's t over seeds, which also draw the split, the "
            "order of the examples and the first weights. The effect size is the mean difference "
            "over the standard deviation of the differences. Nothing is corrected for several "
            "comparisons.",
            f"{machine}, {date}. To repeat it:",
            f"```sh\npython -m experiments.study {name}\n```",
        )
    ) + "\n"  # fmt: skip


def described(study: Study) -> str:
    """Returns what was trained on what, and what a reader must know of it."""
    base = study.base()
    return f"{base['model']['name']} on {base['data']['name']}. {study.remarks}"


def index(folder: Path) -> str:
    """Returns the page that lists the pages of a folder, with their questions and answers."""
    lines = [
        "# Studies",
        "",
        "Claims of the articles, put to the test: each page quotes its claim with its source, says "
        "what was trained, and answers with means, intervals and a plot. "
        "`python -m experiments.study NAME` repeats one.",
        "",
        "| study | question | the claim is |",
        "| --- | --- | --- |",
    ]
    for path in sorted(folder.glob("*.md")):
        text = path.read_text()
        title, answer = (
            re.search(r"^# (.+\?)$", text, re.M),
            re.search(r"^\*\*(.+?)\*\*", text, re.M),
        )
        if title and answer:
            lines.append(f"| [{path.stem}]({path.name}) | {title[1]} | {answer[1].lower()} |")
    # The site wants to be told which pages lie below this one.
    lines += ["", "```{toctree}", ":hidden:", ":glob:", "", "*", "```"]
    return "\n".join(lines) + "\n"


def means(study: Study, found: Mapping[str, Sequence[float]], beside: Figures) -> list[str]:
    """Returns the table of the points."""
    heads = [f"mean ({study.measured})", "standard deviation", *study.beside]
    lines = [
        f"| point | n | {' | '.join(heads)} | 95 % interval of the mean | fields |",
        f"| --- | ---: |{' ---: |' * len(heads)} --- | --- |",
    ]
    for point, values in found.items():
        mean, half = interval(values)
        fields = ", ".join(f"`{k}={v}`" for k, v in study.points[point].items()) or "as the base"
        fields = fields.replace("|", "\\|")  # or the table had a column more
        shown = [f"{mean:.2f}", f"{np.std(values, ddof=1):.2f}"]
        shown += [written(beside[point][what]) for what in study.beside]
        lines.append(
            f"| {point} | {len(values)} | {' | '.join(shown)} | {mean - half:.2f} to "
            f"{mean + half:.2f} | {fields} |"
        )
    return lines


def written(value: float) -> str:
    """Returns a figure of any size: 1,234, 0.0123 or 1.2e-07."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def differences(study: Study, made: Sequence[Difference]) -> list[str]:
    """Returns the table of the comparisons."""
    words = {1: "more", -1: "less", 0: "nothing"}
    lines = [
        "| point | minus | difference | 95 % interval | effect size | p | the claim expects |",
        "| --- | --- | ---: | --- | ---: | ---: | --- |",
    ]
    for d in made:
        effect = f"{d.effect:+.2f}" if math.isfinite(d.effect) else "all alike"
        lines.append(
            f"| {d.name} | {d.than} | {d.mean:+.2f} | {d.mean - d.half:+.2f} to "
            f"{d.mean + d.half:+.2f} | {effect} | {d.p:.2g} "
            f"| {words[study.expects.get(d.name, 0)]} |"
        )
    return lines


def drawing(study: Study, made: Sequence[Difference]) -> Any:
    """Draws the differences with their intervals."""
    figure, axes = plots.figure(7.5, 0.9 + 0.45 * len(made))
    for height, d in enumerate(reversed(made)):
        colour = "#31688e" if d.sign else "#9aa0a6"
        axes.errorbar(d.mean, height, xerr=d.half, fmt="o", color=colour, capsize=4)
    several = len(set(study.compared.values())) > 1
    labels = [f"{d.name} - {d.than}" if several else d.name for d in reversed(made)]
    axes.set_yticks(range(len(made)), labels)
    axes.set_ylim(-0.6, len(made) - 0.4)
    axes.axvline(0, color="#222222", linewidth=0.8)
    other = "" if several else f" from {made[0].than}"
    axes.set_xlabel(f"{study.measured}: difference{other}, with its 95 % interval")
    return figure


def curve(study: Study, found: Curves) -> Any:
    """Draws the study's curve: the mean over the seeds of each point, and all they span."""
    if study.curve is None:
        return None
    figure, axes = plots.figure(7.5, 3.6)
    for (point, line), colour in zip(found.items(), plots.distinct(len(found)), strict=True):
        places = sorted(line)
        axes.plot(places, [np.mean(line[x]) for x in places], ".-", color=colour, label=point)
        spans = [min(line[x]) for x in places], [max(line[x]) for x in places]
        axes.fill_between(places, *spans, color=colour, alpha=0.15, linewidth=0)
    if study.curve.log:
        axes.set_yscale("log")
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel(study.curve.over)
    axes.set_ylabel(study.curve.figure)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
