"""Times this project beside PyTorch, Keras and plain Flax: same machine, data, networks and batch.

    python -m experiments.benchmark --data_dir=DIR      everything
    python -m experiments.benchmark --quick             a look at LeNet-5
    python -m experiments.benchmark --work= --readme    the documents' tables, from what is stored

Every contestant has its own process and computes only in its turn. Results are stored in the place
of those of the same work and device. Exits with 1 where a contestant failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnnjax import paths
from experiments import launch
from experiments.benchmarks import contestants, works

WORK = flags.DEFINE_list("work", list(works.works()), "What to measure.")
CONTESTANTS = flags.DEFINE_list(
    "contestants", [c.name for c in contestants.LISTED if not c.asked],
    "Who takes part. There are also: " + ", ".join(c.name for c in contestants.LISTED if c.asked),
)  # fmt: skip
ROUNDS = flags.DEFINE_integer("rounds", 10, "Turns of every contestant.", 1)
STEPS = flags.DEFINE_integer("steps", 0, "Steps of a turn; 0: as many as take --seconds.", 0)
SECONDS = flags.DEFINE_float("seconds", 0.5, "Of a turn, and of each measurement of the peak.", 0)
STARTS = flags.DEFINE_integer("starts", 3, "Processes of every contestant and work.", 1)
REPEATS = flags.DEFINE_integer("repeats", 3, "Seeds of the runs to an accuracy.", 1)
PRECISION = flags.DEFINE_enum("precision", "float32", ["float32", "bfloat16"], "Of computations.")
DATA_DIR = flags.DEFINE_string("data_dir", "", "Where TFDS has MNIST; else pixels are random.")
DEVICE = flags.DEFINE_string("device", "", "What this ran on, as the table should say it.")
OUTPUT = flags.DEFINE_string("output", "docs/benchmark.json", "The stored results.")
README = flags.DEFINE_bool(
    "readme", False, "Write the tables of README.md and docs/speed.md from what is stored."
)
QUICK = flags.DEFINE_bool("quick", False, "A smoke run; stored only where --output is given.")

HASTE: dict[str, Any] = {
    "work": list(works.QUICK), "rounds": 2, "seconds": 0.05, "starts": 1, "repeats": 1,
}  # fmt: skip
# Where the tables stand: the short one, and all of it.
PAGES = {Path("README.md"): True, Path("docs/speed.md"): False}
WIDTH = 200  # of the table, in characters, where there is no terminal


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    from cnnjax.workdir import files
    from experiments.benchmarks import records, table

    store = paths.expanded(OUTPUT.value)
    stored = flags.FLAGS["output"].present or not QUICK.value
    if not store.parent.is_dir():
        return launch.refuse(f"--output: the folder {store.parent} does not exist")
    if README.value:
        for page in PAGES:
            table.written(page.read_text(), [])  # refuses now what it would refuse at the end
    new, kept = [], records.read(store)
    for record in measured() if given("work") else ():
        new, kept = [*new, record], records.add(kept, [record])
        if stored:
            files.write_json(store, kept)
    show(table.drawn(new))
    if README.value:
        for page, brief in PAGES.items():
            page.write_text(table.written(page.read_text(), kept, brief))
    return 1 if table.failures(new) else 0


def measured() -> Iterator[dict[str, Any]]:
    """Yields a record of every work, once it is measured."""
    import jax
    from rich.console import Console
    from rich.progress import Progress

    from experiments.benchmarks import contest
    from experiments.benchmarks.rounds import Settings

    jax.config.update("jax_platforms", "cpu")  # of this process: devices are for the contestants
    settings = Settings(
        rounds=given("rounds"),
        steps=STEPS.value,
        seconds=given("seconds"),
        starts=given("starts"),
        repeats=given("repeats"),
        precision=PRECISION.value,
    )
    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        yield from contest.hold(
            CONTESTANTS.value, given("work"), settings, DATA_DIR.value, DEVICE.value, progress
        )


def show(parts: Iterable[Any]) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    for part in parts:
        console.print(part)


def given(name: str) -> Any:
    """Returns a flag's value, or that of a quick run where the flag is not set."""
    flag = flags.FLAGS[name]
    return HASTE[name] if QUICK.value and not flag.present else flag.value


if __name__ == "__main__":
    launch.run(main)
