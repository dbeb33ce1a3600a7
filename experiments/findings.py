"""What a network finds in image files, as JSON, as CSV or as a table."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments import printed


def as_json(answers: Iterator[tuple[Path, Any]], task: Any) -> None:
    from cnnjax.workdir import files

    for file, answer in answers:
        error = isinstance(answer, Exception)
        found = {"error": str(answer)} if error else {task.finds: answer}
        print(files.as_json({"image": str(file), **found}), flush=True)


def as_csv(answers: Iterator[tuple[Path, Any]], task: Any) -> None:
    from cnnjax.data.folders import printable

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["image", *task.columns, "error"])
    for file, answer in answers:
        if isinstance(answer, Exception):
            writer.writerow([printable(file), *("" for _ in task.columns), answer])
            continue
        for finding in answer:
            writer.writerow([printable(file), *(finding[name] for name in task.columns), ""])


def as_table(answers: Iterator[tuple[Path, Any]], task: Any) -> None:
    from rich.table import Table

    from cnnjax.data.folders import printable
    from cnnjax.tasks import shown

    table = Table("image", *task.columns)
    for file, answer in answers:
        if isinstance(answer, Exception):
            table.add_row(printable(file), "cannot be read")
            continue
        for i, finding in enumerate(answer or [{}]):
            cells = (shown(finding[name], unit) for name, unit in task.columns.items() if finding)
            table.add_row("" if i else printable(file), *cells)
    printed.console().print(table)
