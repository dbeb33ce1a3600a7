"""Harms runs at random and compares how they end with a run that was left alone.

    python -m experiments.torture --minutes=5
    python -m experiments.torture --minutes=10 --harms="kill,kill while saving" --task=localization

Exits with 1 where a run was lost, and keeps its workdir.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from absl import flags

from cnnjax import commands
from cnnjax.errors import InputError
from experiments import launch

MINUTES = flags.DEFINE_float("minutes", 5.0, "How long to go on; runs under way then end.", 0.0)
HARMS = flags.DEFINE_list("harms", [], "Which harms to choose from; all by default.")
JOBS = flags.DEFINE_integer("jobs", 2, "Runs at a time.", 1)
SEED = flags.DEFINE_integer("seed", 0, "Of the choice of harms and times.", 0)
CONFIG = flags.DEFINE_string(
    "config", commands.config_file("configs/torture.py"), "The run to harm."
)
TASK = flags.DEFINE_string("task", None, "What it learns: the word after the config's colon.")


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    if not Path(CONFIG.value.partition(":")[0]).is_file():
        raise InputError(f"config file {CONFIG.value} does not exist")
    config = CONFIG.value
    if TASK.value:
        if ":" in config:
            raise InputError(f"--task={TASK.value} and --config={config} name two variants")
        config = f"{config}:{TASK.value}"
    from rich.console import Console

    from cnnjax import torture
    from cnnjax.torture.trials import can_mount

    names = HARMS.value or list(torture.HARMS)
    for name in names:
        torture.HARMS[name]  # an unknown one is refused here
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    if "full disk" in names and not can_mount(folder / "disk"):
        print("No full disks: this user may not mount a small one.", file=sys.stderr)
        names.remove("full disk")
    command = (sys.executable, "-m", "experiments.train", f"--config={config}")
    start = time.monotonic()
    with Console(stderr=True).status("the run that is left alone"):
        expected = torture.reference(command, folder / "reference")
    outcomes = harmed(command, folder, expected, names)
    print_table(outcomes, names, expected, time.monotonic() - start)
    return 1 if any(outcome.lost for outcome in outcomes) else 0


def harmed(command, folder: Path, expected, names: Sequence[str]):
    """Returns the outcomes of as many trials as the minutes hold."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from cnnjax import torture

    begin, seconds, outcomes, under_way = time.monotonic(), 60 * MINUTES.value, [], set()
    deadline = begin + seconds
    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.fields[shown]}"), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar, ThreadPoolExecutor(JOBS.value) as pool:
        task, number = bar.add_task("harming", total=seconds, shown=""), 0
        while under_way or number == 0 or time.monotonic() < deadline:
            if len(under_way) < JOBS.value and (number == 0 or time.monotonic() < deadline):
                place, seed = folder / f"{number}", SEED.value + number
                under_way.add(
                    pool.submit(torture.trial, command, place, expected, names, seed, deadline)
                )
                number += 1
                continue
            ended, under_way = wait(under_way, timeout=1, return_when=FIRST_COMPLETED)
            outcomes += [future.result() for future in ended]
            struck = sum(sum(outcome.struck.values()) for outcome in outcomes)
            lost = sum(bool(outcome.lost) for outcome in outcomes)
            shown = f"{len(outcomes)} runs ended, harmed {struck} times, {lost} lost"
            bar.update(task, completed=min(time.monotonic() - begin, seconds), shown=shown)
    return outcomes


def print_table(outcomes, names: Sequence[str], expected, seconds: float) -> None:
    """Prints how often each harm struck, and how often the run's end was the same all the same."""
    from rich.console import Console
    from rich.table import Table

    from cnnjax import torture

    table = Table("harm", "what it does", "struck", "survived")
    for name in names:
        struck = sum(outcome.struck.get(name, 0) for outcome in outcomes)
        lost = sum(outcome.struck.get(name, 0) for outcome in outcomes if outcome.lost)
        what = (torture.HARMS[name].__doc__ or "").splitlines()[0]
        table.add_row(name, what, f"{struck:,}", f"{struck - lost:,}")
    discarded = sum(outcome.discarded for outcome in outcomes)
    bad = len(expected["discarded"]) * len(outcomes)
    table.add_row("not finite", "A batch with a target that is none.", f"{bad:,}", f"{discarded:,}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    lost = [outcome.lost for outcome in outcomes if outcome.lost]
    print(
        f"{len(outcomes)} runs, harmed {sum(sum(o.struck.values()) for o in outcomes)} times in "
        f"{seconds:.0f} s: {len(outcomes) - len(lost)} ended with the parameters, metrics and "
        f"result of the run that was left alone ({expected['result']['params_sha256'][:8]}), "
        f"{len(lost)} lost"
    )
    for text in lost:
        print(f"lost: {text}")


if __name__ == "__main__":
    launch.run(main)
