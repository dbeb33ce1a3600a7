"""The page of a study: claim, answer, numbers, and how they came about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cnnjax.sweep import plots
from cnnjax.sweep.statistics import interval
from cnnjax.sweep.study import Difference, Study


def markdown(
    name: str,
    study: Study,
    found: Mapping[str, Sequence[float]],
    made: Sequence[Difference],
    verdict: str,
    machine: str,
    date: str,
) -> str:
    """Returns the page; the picture lies beside it."""
    lines = [
        f"# {study.question}",
        "",
        f"> {study.claim}",
        ">",
        f"> {study.source}",
        "",
        f"**{verdict.capitalize()}**, by {study.seeds} seeds of each point.",
        "",
        f"![Differences with their intervals]({name}.svg)",
        "",
        f"| point | n | mean ({study.measured}) | 95 % interval | fields |",
        "| --- | ---: | ---: | --- | --- |",
    ]
    for point, values in found.items():
        mean, half = interval(values)
        fields = ", ".join(f"`{k}={v}`" for k, v in study.points[point].items()) or "as the base"
        lines.append(
            f"| {point} | {len(values)} | {mean:.2f} | {mean - half:.2f} to {mean + half:.2f} "
            f"| {fields} |"
        )
    lines += [
        "",
        f"Compared with {study.first}, pairs of one seed (paired t-test):",
        "",
        "| point | difference | 95 % interval | effect size | p | the claim expects |",
        "| --- | ---: | --- | ---: | ---: | --- |",
    ]
    words = {1: "more", -1: "less", 0: "nothing"}
    for d in made:
        effect = f"{d.effect:+.2f}" if math.isfinite(d.effect) else "all alike"
        lines.append(
            f"| {d.name} | {d.mean:+.2f} | {d.mean - d.half:+.2f} to {d.mean + d.half:+.2f} "
            f"| {effect} | {d.p:.2g} | {words[study.expects.get(d.name, 0)]} |"
        )
    base = study.base()
    lines += [
        "",
        f"{base.model.name} on {base.data.name}, {base.epochs:g} epochs. The interval is of the "
        "mean difference, by Student's t over seeds; the effect size is the mean difference over "
        "the standard deviation of the differences. Nothing is corrected for several comparisons. "
        + study.remarks,
        "",
        f"{machine}, {date}. To repeat it:",
        "",
        "```sh",
        f"python -m experiments.study {name}",
        "```",
    ]
    return "\n".join(lines) + "\n"


def drawing(study: Study, made: Sequence[Difference]) -> Any:
    """Draws the differences from the first point with their intervals."""
    figure, axes = plots.figure(7.5, 0.9 + 0.45 * len(made))
    for height, d in enumerate(reversed(made)):
        colour = "#31688e" if d.sign else "#9aa0a6"
        axes.errorbar(d.mean, height, xerr=d.half, fmt="o", color=colour, capsize=4)
    axes.set_yticks(range(len(made)), [d.name for d in reversed(made)])
    axes.set_ylim(-0.6, len(made) - 0.4)
    axes.axvline(0, color="#222222", linewidth=0.8)
    axes.set_xlabel(f"{study.measured}: difference from {study.first}, with its 95 % interval")
    return figure
