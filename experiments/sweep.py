"""Sweeps the fields of a config: many runs, of which the validation decides.

    python -m experiments.sweep --config=configs/digits.py --workdir=runs/sweep --trials=20 \
      --space='optimizer.learning_rate=log(1e-4,1e-1) model.kernel=3|5'

Stopped or killed, the same command goes on. The same command elsewhere, or --workdir alone, adds
workers, on any machine that sees the folder.
"""

from __future__ import annotations

import dataclasses
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from cnnjax import paths
from experiments import configuration, launch

CONFIG = configuration.define()
SPACE = flags.DEFINE_string(
    "space", None, "FIELD=VALUES ...: log(1e-4,1e-1), uniform(0,1), int(1,8), a|b|c; or a .py file."
)
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the sweep; goes on with what is in it.")
TRIALS = flags.DEFINE_integer("trials", None, "Points to try in all; 20, and all of a grid.", 1)
WORKERS = flags.DEFINE_integer("workers", 1, "Processes that run trials, on this machine.", 1)
SEEDS = flags.DEFINE_integer("seeds", 1, "Runs of each point; the mean decides.", 1)
SAMPLER = flags.DEFINE_string("sampler", "tpe", "tpe, random, grid or qmc (quasi-random).")
PRUNER = flags.DEFINE_string("pruner", "none", "asha, hyperband or none: what stops bad runs.")
METRIC = flags.DEFINE_string(
    "metric", "", "What of the validation decides: loss, or a figure; the task's own by default."
)
POPULATIONS = flags.DEFINE_integer(
    "populations",
    0,
    "Members that train side by side, the worst taking over from the best (PBT).",
    0,
)
DRAW = flags.DEFINE_integer("draw", 0, "Seed of the sampler.", 0)
STORAGE = flags.DEFINE_string(
    "storage", "", "postgresql://USER@HOST/DATABASE for many machines; else a journal in --workdir."
)
WIDEN = flags.DEFINE_bool("widen", False, "Take more values of the fields of a sweep under way.")
WORKER = flags.DEFINE_bool("worker", False, "Run trials in this process and show nothing.")
REBUILD = flags.DEFINE_bool("rebuild", False, "Only write trials.jsonl anew from the storage.")


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    if not WORKDIR.value:
        return launch.refuse("--workdir=DIR is missing: the folder of the sweep")
    import jax

    folder = paths.expanded(WORKDIR.value)
    if WORKER.value:
        return work(folder)
    if not is_population(folder):
        # Checking shapes takes no device; those are for the workers.
        jax.config.update("jax_platforms", "cpu")
    from cnnjax.sweep import table, worker

    sweep, kept = worker.begin(folder, asked(folder), WIDEN.value)
    if REBUILD.value:
        found = table.write(folder, sweep, kept)
        print(f"{folder / 'trials.jsonl'}: {len(found)} trials")
        return 0
    return (side_by_side if sweep.population else watched)(folder, sweep, kept)


def is_population(folder: Path) -> bool:
    """Returns whether the flags ask for a population, or the folder holds one."""
    from cnnjax.sweep import record
    from cnnjax.workdir import files

    path = folder / record.SWEEP
    return bool(POPULATIONS.value or (path.exists() and files.read_json(path).get("population")))


def asked(folder: Path):
    """Returns the sweep of the flags, or that of the folder where they name none."""
    from cnnjax import config as configs
    from cnnjax import tasks
    from cnnjax.errors import InputError
    from cnnjax.sweep import points, record, space

    config = configuration.value(CONFIG)
    if SPACE.value is None:
        if not (folder / record.SWEEP).exists():
            raise InputError("--space='FIELD=VALUES ...' is missing: what the sweep varies")
        refuse_unheard()
        found = record.load(folder, STORAGE.value)
        return dataclasses.replace(found, trials=TRIALS.value or found.trials)
    config = paths.located(configs.check(config))
    found = points.check_space(space.read(SPACE.value), config)
    metric = METRIC.value or tasks.TASKS[tasks.name_of(config)].best
    return record.Sweep(
        config, found, SEEDS.value, SAMPLER.value, PRUNER.value, metric, DRAW.value,
        STORAGE.value, trials=TRIALS.value or 0, command=of_the_config(),
        population=POPULATIONS.value,
    )  # fmt: skip


def of_the_config() -> tuple[str, ...]:
    """Returns the arguments that make the config."""
    return tuple(a for a in sys.argv[1:] if a.lstrip("-").startswith("config"))


def refuse_unheard() -> None:
    """Refuses what says what a sweep is where it is the one of the folder."""
    from cnnjax.errors import InputError

    holders = (SEEDS, SAMPLER, PRUNER, METRIC, DRAW, WIDEN, POPULATIONS)
    given = [f"--{holder.name}" for holder in holders if holder.present]
    if given := [*(a.partition("=")[0] for a in of_the_config()), *given]:
        raise InputError(
            f"{given[0]} needs --space='FIELD=VALUES ...' beside it: without, the sweep in "
            "--workdir goes on as it is, and only --trials may be another"
        )


def work(folder: Path) -> int:
    """Runs trials until there are none, or the process that started this one is gone."""
    from cnnjax import compiler
    from cnnjax.errors import InputError
    from cnnjax.sweep import record, storage, worker
    from cnnjax.train import stop
    from cnnjax.workdir import files

    if files.read_json(folder / record.SWEEP)["config"]["deterministic"]:
        compiler.be_deterministic()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, worker.leave)
    # Its standard input is a pipe that ends with whoever started it.
    watched = sys.stdin is not None and not sys.stdin.isatty()

    def go_on() -> bool:
        return not (watched and select.select([sys.stdin], [], [], 0)[0])

    try:
        sweep = record.load(folder, STORAGE.value)
        if sweep.population:
            raise InputError(f"{folder} holds a population, which one process trains")
        worker.work(folder, sweep, storage.opened(folder, sweep.storage), sweep.trials, go_on)
    except stop.Stopped as stopped:
        print(stopped)
        return stop.STOPPED
    return 0 if go_on() else stop.STOPPED


def side_by_side(folder: Path, sweep, kept) -> int:
    """Trains a population in this process, and says which member is best."""
    from rich.console import Console

    from cnnjax.sweep import population, record, show, table
    from cnnjax.train import stop

    try:
        with stop.requests() as stop_requested:
            population.train(folder, sweep, kept, stop_requested)
    except stop.Stopped as stopped:
        table.write(folder, sweep, kept)
        print(f"{stopped} The same command goes on from here.")
        return stop.STOPPED
    found = table.write(folder, sweep, kept)
    Console(markup=False, emoji=False, highlight=False).print(
        show.best_table(folder, sweep, found, sweep.trials, 0)
    )
    for row in table.ranked(sweep, found)[:1]:
        place = folder / record.TRIALS / f"{row['number']}"
        print(f"Best: member {row['number']}, {sweep.metric} {show.figure(sweep, row['value'])}. "
              f"Its values changed on the way: {folder / 'trials.jsonl'} has the schedule.\n"
              f"To use it: python -m experiments.evaluate --workdir={place}")  # fmt: skip
    return 0


def watched(folder: Path, sweep, kept) -> int:
    """Starts workers and shows the trials until all have ended."""
    from cnnjax.sweep import crew, show, table
    from cnnjax.sweep.watch import Watch
    from cnnjax.train import stop

    command = [sys.executable, "-m", "experiments.sweep", *sys.argv[1:], "--worker"]
    with stop.requests() as stop_requested, Watch(folder, sweep) as watch:
        stop_requested.begin()
        workers = crew.Crew(command, folder, WORKERS.value)
        while (alive := workers.replace_dead()) and not stop_requested():
            watch.look(table.rows(sweep, kept), alive)
            time.sleep(0.5)
        workers.stop()
    found = table.write(folder, sweep, kept)
    complaints = workers.complaints()
    for text in complaints:
        print(f"error: {text}", file=sys.stderr)
    watch.end(found)
    best = table.ranked(sweep, found)[:1]
    for row in best:
        print(f"Best: trial {row['number']}, {sweep.metric} "
              f"{show.figure(sweep, row['value'])}. To train it:")  # fmt: skip
        print(show.command(sweep, row["values"], "runs/best"))
    if stop_requested():
        print("Stopped; all is saved. The same command goes on from here.")
        return stop.STOPPED
    return launch.FAILED if complaints else 0


if __name__ == "__main__":
    launch.run(main)
