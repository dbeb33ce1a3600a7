"""Checks every number and testable statement of the articles that this project follows.

    python -m experiments.verify                  everything, in under a minute on two cores
    python -m experiments.verify --only=C01,1.3   single rows, whole sections
    python -m experiments.verify --platform       known faults of XLA, on this machine

Exits with 1 where any check fails. The rows that need data or minutes are named at the end, with
the test or command that shows each.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from absl import flags

from experiments import launch

ONLY = flags.DEFINE_list("only", [], "Rows (C01), letters (C) or sections (1.1) to check.")
PLATFORM = flags.DEFINE_bool("platform", False, "Try known faults of XLA, and nothing else.")
JSON = flags.DEFINE_bool("json", False, "Print one JSON object.")
FULL = flags.DEFINE_bool("full", False, "Print long values whole instead of their beginning.")

WIDTH = 160  # of the table, in characters, where there is no terminal
LONGEST = 48  # characters of a value in the table; one that fails is printed whole


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    if PLATFORM.value:
        return judge_platform()
    start = time.perf_counter()
    from cnnjax import verification

    checks = verification.select(ONLY.value)
    if JSON.value:
        results = [verification.judge(check) for check in checks]
        print(json.dumps(report(results, time.perf_counter() - start), indent=1))
    else:
        results = print_table(checks)
        print_summary(results, time.perf_counter() - start)
    return 0 if all(result.passed for result in results) else 1


def judge_platform() -> int:
    """Tries every known fault of XLA at length; returns 1 where one shows in our programs."""
    from rich.console import Console
    from rich.progress import track

    from cnnjax import platform

    errors, rows = Console(stderr=True), []
    hidden = {"transient": True, "disable": not errors.is_terminal}
    for fault in track(platform.FAULTS, "trying", console=errors, **hidden):
        ours, alone = platform.at_length(fault)
        row = {"issue": fault.issue, "says": f"XLA {fault.says}", "cure": fault.cure}
        row |= {"seen_on": fault.platforms, "right": ours, "right_without_options": alone}
        rows.append(row)
    if JSON.value:
        print(json.dumps(rows, indent=1))
    else:
        print_faults(rows)
    return 0 if all(row["right"] for row in rows) else 1


def print_faults(rows) -> None:
    import jax
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    table = Table("issue", "what it says", "seen on", "as we compile", "by jax.jit alone")
    verdicts = {True: Text("right", "green"), False: Text("WRONG", "bold red")}
    for row in rows:
        found = verdicts[row["right"]], verdicts[row["right_without_options"]]
        table.add_row(row["issue"], row["says"], ", ".join(row["seen_on"]), *found)
    console.print(table)
    wrong = [row for row in rows if not row["right"]]
    for row in wrong:
        print(f"{row['says']} ({row['issue']}): {row['cure']}")
    print(f"{len(rows)} known faults tried on {jax.default_backend()}, {len(wrong)} show in ours")


def report(results, seconds: float) -> dict:
    """Returns everything the command knows, as plain values."""
    from cnnjax.verification import elsewhere

    return {
        "checks": [result.record() for result in results],
        "failed": [result.row for result in results if not result.passed],
        "proven_elsewhere": [row._asdict() for row in elsewhere.proven()],
        "not_proven": [row._asdict() for row in elsewhere.unproven()],
        "seconds": seconds,
    }


def print_table(checks):
    """Judges one check after another and prints the table of all."""
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

    from cnnjax import verification

    console, errors = Console(), Console(stderr=True)
    if not console.is_terminal:
        console.width = WIDTH
    results = []
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        for check in progress.track(checks, description="checking"):
            results.append(verification.judge(check))
    table = Table("row", "article", "what it says", "expected", "computed", "")
    for result in results:
        verdict = Text("PASS", "green") if result.passed else Text("FAIL", "bold red")
        values = result.expected, result.computed
        if result.passed and not FULL.value:
            values = shorten(result.expected), shorten(result.computed)
        table.add_row(result.row, result.article, result.says, *map(Text, values), verdict)
    console.print(table)
    return results


def shorten(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 4] + " ..."


def print_summary(results, seconds: float) -> None:
    """Prints the counts, and by name every row that nothing has proven yet."""
    from cnnjax.verification import elsewhere

    failed = [result.row for result in results if not result.passed]
    print(f"{len(results)} rows checked here, {len(failed)} FAIL, in {seconds:.0f} s")
    if failed:
        print(f"failed: {', '.join(failed)}")
    if ONLY.value:
        return
    print(f"{len(elsewhere.proven())} rows proven by named tests or commands elsewhere:")
    for row in elsewhere.proven():
        print(f"  {row.row} ({row.article}) {row.says}: {', '.join(row.evidence)}")
    print(f"{len(elsewhere.unproven())} rows not yet proven:")
    for row in elsewhere.unproven():
        print(f"  {row.row} ({row.article}) {row.says}")


if __name__ == "__main__":
    launch.run(main)
