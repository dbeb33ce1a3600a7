"""The benchmark as a table: whole for the terminal and docs/speed.md, short for the README."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

from cnnjax.errors import InputError
from experiments.benchmarks import contestants, records
from experiments.benchmarks.contestants import OURS, TITLES
from experiments.benchmarks.learning import BY_RECIPE
from experiments.benchmarks.records import Record, quartiles
from experiments.benchmarks.works import ACCURACY

BEGIN = "<!-- benchmark: written by python -m experiments.benchmark -->"
END = "<!-- end of benchmark -->"


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A row: what it is called, the values behind it, and how a cell shows them.

    Attributes:
      ours: the contestant in our column, if it is not the usual one.
      compared: whether the row has ratios.
    """

    label: str
    key: str
    show: Callable[[Record, list[float]], str]
    ours: str = ""
    compared: bool = True


def three(number: float) -> str:
    """Returns three digits, or all those before the point."""
    return f"{number:,.0f}" if number >= 99.95 else f"{number:#.3g}".rstrip(".")


def spread(values: Sequence[float], unit: str, scale: float = 1.0) -> str:
    """Returns the median, and the quartiles where there are several values."""
    low, middle, high = (three(scale * value) for value in quartiles(values))
    text = f"{middle}{unit}"
    return text if len(values) < 2 else f"{text} ({low} to {high})"


def milliseconds(record: Record, values: list[float]) -> str:
    return spread(values, " ms", 1000)


def seconds(record: Record, values: list[float]) -> str:
    return spread(values, " s")


def mebibytes(record: Record, values: list[float]) -> str:
    return spread(values, " MiB", 2**-20)


def batches(record: Record, values: list[float]) -> str:
    return f"{three(1 / quartiles(values)[1])}/s"


def throughput(mode: str) -> Callable[[Record, list[float]], str]:
    """Returns what shows images per second and the share of the matmul peak."""

    def show(record: Record, values: list[float]) -> str:
        median = quartiles(values)[1]
        share = records.peak_share(record, mode, median)
        return f"{three(record['work']['batch'] / median)}/s, {three(100 * share)} %"

    return show


QUANTITIES = (
    Quantity("training step", "train", milliseconds),
    Quantity("images/s, of the matmul peak", "train", throughput("train"), compared=False),
    Quantity("inference", "forward", milliseconds),
    Quantity("images/s, of the matmul peak", "forward", throughput("forward"), compared=False),
    Quantity("process start to first step", "first", seconds),
    Quantity("the same, started before", "again", seconds),
    Quantity("input pipeline alone, batches/s", "pipeline", batches),
    Quantity("peak memory", "memory", mebibytes),
    Quantity("peak memory of the device", "device_memory", mebibytes),
    Quantity(f"process start to {100 * ACCURACY:g} %", "reached", seconds),
    Quantity(f"the same, {BY_RECIPE}", "reached", seconds, ours=BY_RECIPE),
)


def columns(stored: Sequence[Record]) -> list[str]:
    """Returns the titles of whoever took part; ours comes first, and is always there."""
    there = {name for record in stored for name in record["contestants"]}
    named = {c.title for c in contestants.LISTED if c.name in there}
    return [title for title in TITLES if title == TITLES[0] or title in named]


def header(titles: Sequence[str]) -> list[str]:
    return ["network", "measured", *titles, *(f"{title} / {OURS}" for title in titles[1:])]


def rows(record: Record, titles: Sequence[str]) -> list[list[str]]:
    """Returns the cells of a work under `header(titles)`, a row per quantity that was measured."""
    found = []
    for quantity in QUANTITIES:
        values = [records.best(record, title, quantity.key) for title in titles]
        if quantity.ours:
            values[0] = records.values(record, quantity.ours, quantity.key)
        if not any(values) or (quantity.ours and not values[0]):
            continue
        cells = [
            quantity.show(record, column) if column else lacking(record, title, quantity.key)
            for title, column in zip(titles, values, strict=True)
        ]
        compared = quantity.compared and values[0]
        cells += [against(values[0], column) if compared else "" for column in values[1:]]
        found.append([name_of(record) if not found else "", quantity.label, *cells])
    return found


def lacking(record: Record, title: str, key: str) -> str:
    """Returns what stands in the place of values."""
    for name in (c.name for c in contestants.LISTED if c.title == title):
        measured = record["contestants"].get(name, {})
        if "failed" in measured:
            return "failed"
        if None in measured.get(key, []):
            return "not reached"
    return ""


def name_of(record: Record) -> str:
    work = record["work"]
    return f"{work['name']}, {work['batch']} of {'x'.join(map(str, work['shape']))}"


def against(ours: list[float], theirs: list[float]) -> str:
    found = records.ratios(ours, theirs)
    return spread(found, "") if found else ""


def caption(run: dict[str, Any], brief: bool = False) -> str:
    """Returns where, when and how the rows of a table were measured."""
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    peak = max(run["peak"].values()) / 1e9
    how = (
        f"Medians of {run['rounds']} rounds in turn; ratios are times or bytes of theirs over "
        f"ours: above 1 {OURS} needs less."
        if brief
        else f"Medians (and quartiles) of {run['rounds']} rounds in turn; matmul peak "
        f"{three(peak)} GFLOP/s. The last columns are times or bytes of theirs over ours, round by "
        f"round: above 1 {OURS} needs less."
    )
    return f"{run['device']}, {run['date']}, {run['precision']}; {versions}. {how}"


def runs(stored: Sequence[Record]) -> list[tuple[dict[str, Any], list[Record]]]:
    """Returns the records of each run together, with what they share."""
    found: dict[str, list[Record]] = {}
    for record in stored:
        found.setdefault(json.dumps(record["run"], sort_keys=True), []).append(record)
    return [(group[0]["run"], group) for group in found.values()]


def failures(stored: Sequence[Record]) -> list[str]:
    """Returns a line for every contestant that could not do a work."""
    return [
        f"{record['work']['name']}: {measured['failed']}"
        for record in stored
        for measured in record["contestants"].values()
        if "failed" in measured
    ]


def markdown(stored: Sequence[Record]) -> str:
    """Returns a table for each run under its caption."""
    parts = []
    for run, group in runs(stored):
        titles = columns(group)
        head, body = header(titles), [row for record in group for row in rows(record, titles)]
        lines = [head, ["---", "---", *["---:"] * (len(head) - 2)], *body]
        parts += [caption(run), piped(lines)]
    return "\n\n".join(parts)


# What the short table has of each work: its column, whether ours or a ratio, and of what.
BRIEF = (
    ("step", "train", milliseconds),
    ("inference", "forward", milliseconds),
    ("memory", "memory", mebibytes),
)
MOST = 10  # rows of the short table


def short(stored: Sequence[Record]) -> str:
    """Returns one table of the newest run that measured steps, a row per work."""
    stepped = [record for record in stored if records.best(record, TITLES[0], "train")]
    if not stepped:
        return ""
    run, group = max(runs(stepped), key=lambda entry: entry[0]["date"])
    others = columns(group)[1:]
    head = ["network"]
    for name, _, _ in BRIEF:
        head += [f"{name}: {OURS}", *(f"{title} / {OURS}" for title in others)]
    body = []
    for record in group[:MOST]:
        cells = [name_of(record)]
        for _, key, show in BRIEF:
            ours = records.best(record, TITLES[0], key)
            theirs = [records.best(record, title, key) for title in others]
            cells.append(show(record, [quartiles(ours)[1]]) if ours else "")
            cells += [middle(ours, values) if ours and values else "" for values in theirs]
        body.append(cells)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return f"{caption(run, brief=True)}\n\n{piped(lines)}"


def piped(lines: Sequence[Sequence[str]]) -> str:
    """Returns the lines of a table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def middle(ours: list[float], theirs: list[float]) -> str:
    """Returns the median of the ratios."""
    found = records.ratios(ours, theirs)
    return three(quartiles(found)[1]) if found else ""


def written(text: str, stored: Sequence[Record], brief: bool = False) -> str:
    """Returns `text` with the tables, or the short one, between its two markers."""
    if BEGIN not in text or END not in text:
        raise InputError(f"the text lacks the lines {BEGIN!r} and {END!r}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{short(stored) if brief else markdown(stored)}\n{END}{after}"


def drawn(stored: Sequence[Record]):
    """Yields what a terminal shows: a table of rich's for each run, and its caption."""
    from rich.table import Table
    from rich.text import Text

    for run, group in runs(stored):
        titles = columns(group)
        table = Table(*header(titles))
        for record in group:
            for row in rows(record, titles):
                table.add_row(*map(Text, row))
            table.add_section()
        yield table
        yield Text(caption(run))
    yield from map(Text, failures(stored))
