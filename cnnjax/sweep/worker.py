"""A worker: one process that takes trials, one after the other, until there are none."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnnjax import config as configuration
from cnnjax import data, parallel, platform, tasks
from cnnjax.errors import InputError
from cnnjax.evaluation.trained import load_data
from cnnjax.sweep import life, locks, plan, record, storage
from cnnjax.sweep.record import Sweep
from cnnjax.train import programs, stop
from cnnjax.train import run as training
from cnnjax.train.experiment import check_parts, prepare
from cnnjax.workdir import files

# Seconds between looks at trials of others, which may be left behind.
PAUSE = 0.5
ALIVE = "alive"


def begin(folder: Path, sweep: Sweep, widen: bool = False) -> tuple[Sweep, Any]:
    """Returns the sweep of a folder and its opened storage; both are made on the first call.

    Raises InputError where the folder's sweep is another one, or would have to be widened while
    workers are at it.
    """
    record.check(sweep)
    kept = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not sweep.storage:
            kept = storage.opened(folder, "")
        with locks.turn(folder / record.TURN):
            kept = kept or storage.opened(folder, sweep.storage)
            sweep, before = record.begin(folder, sweep, widen)
            if before is not None:
                alone = locks.taken(folder / ALIVE)
                if alone is None:
                    raise InputError(
                        f"workers are at the sweep in {folder}: it can be widened once they stop"
                    )
                with alone:
                    storage.widened(before, sweep, kept)
                    files.write_json(folder / record.SWEEP, record.stored(sweep))
            storage.sturdy(lambda: storage.study(sweep, kept, create=True))
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from None
    return sweep, kept


def work(
    folder: Path,
    sweep: Sweep,
    kept: Any,
    trials: int,
    go_on: Callable[[], bool] = lambda: True,
    run: life.Run | None = None,
    size: life.Size | None = None,
) -> None:
    """Takes trials until `trials` of the whole sweep have ended, whoever they belong to.

    While others are at work it waits, and goes on with what they leave behind when they die.
    """
    if run is None:
        check_machine(sweep)
    with locks.shared(folder / ALIVE), programs.shared():
        while go_on():
            task = plan.take(folder, sweep, kept, trials)
            if task is None:
                if not plan.open_trials(sweep, kept):
                    return
                time.sleep(PAUSE)
                continue
            with task.claim:
                state = life.live(folder, sweep, kept, task, run or training_run, size or steps_of)
            print(f"Trial {task.number}: {state}.", flush=True)


def leave(number: int, _: Any) -> None:
    """Ends a worker on a signal that comes where nothing is being trained.

    Not by an Exception: whoever catches those would blame the point at hand.
    """
    raise SystemExit(stop.STOPPED)


def check_machine(sweep: Sweep) -> None:
    """Raises InputError or Failure for what no point is to blame for.

    Data that cannot be had, and an XLA that computes wrong values, would fail every trial.
    """
    section = sweep.config["parallel"]
    platform.require(parallel.mapper(section["mapper"], section["devices"]).platform)
    data_of(tasks.resolved(sweep.config))


def training_run(config: Mapping[str, Any], workdir: Path, judge: life.Judge) -> dict[str, Any]:
    return training.run(config, workdir, judge=judge)


def steps_of(config: Mapping[str, Any]) -> tuple[int, float]:
    """Returns the steps of a run and of one of its epochs; raises what shows that it cannot be."""
    config = configuration.check(config)
    dataset = loaded(json.dumps({name: config[name] for name in ("data", "seed", "task")}))
    experiment = prepare(config, dataset, check_parts(config))
    return experiment.steps, len(dataset.train) / config["batch_size"]


def data_of(config: Mapping[str, Any]) -> data.Dataset:
    """Returns the data of a config, which has a task; those of the last call are kept."""
    return loaded(json.dumps({name: config[name] for name in ("data", "seed", "task")}))


@functools.lru_cache(maxsize=1)
def loaded(section: str) -> data.Dataset:
    return load_data(json.loads(section))
