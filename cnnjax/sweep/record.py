"""What a sweep is: `sweep.json` in its folder, written before the first trial.

In the same folder lie `trials/NUMBER`, the workdir of each trial (with several seeds it holds one,
`seed_SEED`, for each), `trials.jsonl`, the claims of those who work on a trial, and the journal.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from pathlib import Path
from typing import Any

from cnnjax import config as configuration
from cnnjax import history, paths, tasks
from cnnjax.errors import InputError, nearest
from cnnjax.sweep.points import check_space
from cnnjax.sweep.space import Space, from_entries
from cnnjax.workdir import files

SWEEP, TRIALS, TABLE, JOURNAL, TURN = "sweep.json", "trials", "trials.jsonl", "journal", "turn"
CLAIMS, LOGS = "claims", "workers"
SAMPLERS = ("tpe", "random", "grid", "qmc")
PRUNERS = ("none", "asha", "hyperband")


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A config, the space around it, and how it is searched.

    Attributes:
      seeds: runs of each point, with the config's seed and those after it; the mean decides.
      metric: the loss of the validation, or one of its task's figures.
      storage: "" for the journal in the folder, or the URL of a database.
      study: the name that the sweep has in its storage.
      trials: how many were asked for last; 0 for as many as before, or usual.
      command: the flags that make the config.
      population: members that train side by side, and take over from each other; 0 for trials
        that know nothing of each other.
    """

    config: dict[str, Any]
    space: Space
    seeds: int = 1
    sampler: str = "tpe"
    pruner: str = "none"
    metric: str = "accuracy"
    draw: int = 0
    storage: str = ""
    study: str = ""
    trials: int = 0
    command: tuple[str, ...] = ()
    population: int = 0

    @property
    def task(self) -> tasks.Task:
        return tasks.TASKS[tasks.name_of(self.config)]

    @property
    def direction(self) -> str:
        return "maximize" if tasks.more_is_better(self.task, self.metric) else "minimize"

    def seed_numbers(self) -> list[int]:
        return [self.config["seed"] + i for i in range(self.seeds)]


def workdir(folder: Path, sweep: Sweep, number: int, seed: int) -> Path:
    """Returns the workdir of one run of a trial."""
    trial = folder / TRIALS / f"{number}"
    return trial if sweep.seeds == 1 else trial / f"seed_{seed}"


def check(sweep: Sweep) -> None:
    """Raises InputError for a sweep that contradicts itself."""
    for what, value, known in (("sampler", sweep.sampler, SAMPLERS),
                               ("pruner", sweep.pruner, PRUNERS)):  # fmt: skip
        if value not in known:
            raise InputError(f"unknown {what} {value!r}; known: {', '.join(known)}")
    known = tasks.units(sweep.task)
    if sweep.metric not in known:
        raise InputError(f"validations have no {sweep.metric!r}{nearest(sweep.metric, known)}")
    if not sweep.config["data"]["validation"]:
        raise InputError(
            "a sweep compares points on validation images, and data.validation is 0: the test "
            "split is looked at once, at the end"
        )
    if sweep.seeds > 1 and "seed" in sweep.space.texts():
        raise InputError(f"the space has the seed, and --seeds={sweep.seeds} sets it: give one")
    if sweep.pruner != "none" and not sweep.config["evaluate"]["every_epochs"]:
        raise InputError(
            f"{sweep.pruner} stops runs by their validations on the way: set evaluate.every_epochs"
        )
    if sweep.sampler == "grid":
        sweep.space.grid()


def stored(sweep: Sweep) -> dict[str, Any]:
    """Returns what sweep.json holds; a password is not among it."""
    return {
        "config": sweep.config,
        "space": sweep.space.texts(),
        "seeds": sweep.seeds,
        "sampler": sweep.sampler,
        "pruner": sweep.pruner,
        "metric": sweep.metric,
        "draw": sweep.draw,
        "storage": without_password(sweep.storage),
        "study": sweep.study,
        "trials": sweep.trials,
        "command": sweep.command,
        "population": sweep.population,
    }


def without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1@", url)


def load(folder: Path, url: str = "") -> Sweep:
    """Returns the sweep of a folder; `url` is its storage where that needs a password."""
    if not (folder / SWEEP).exists():
        raise InputError(f"{folder} is not the folder of a sweep: it has no {SWEEP}")
    found = files.read_json(folder / SWEEP)
    config = configuration.check(history.completed(found["config"]))
    space = from_entries(list(found["space"].items()))
    before = found["storage"]
    if without_password(url or before) != before:
        raise InputError(f"the sweep in {folder} has its storage at {before or 'its journal'}")
    return Sweep(
        **found
        | {
            "config": config,
            "space": check_space(space, config),
            "storage": url or before,
            "command": tuple(found["command"]),
        }
    )


def begin(folder: Path, sweep: Sweep, widen: bool = False) -> tuple[Sweep, Sweep | None]:
    """Returns the sweep of the folder, new or as it was, and what it was if it is to be widened.

    To be called in turn. Raises InputError where `sweep` is not what the folder was made with,
    unless `widen` and it has all the values of before and more.
    """
    if not (folder / SWEEP).exists():
        named = dataclasses.replace(
            sweep,
            study=f"{folder.resolve().name}-{uuid.uuid4()}",
            trials=sweep.trials or usual(sweep),
        )
        files.write_json(folder / SWEEP, stored(named))
        return named, None
    before = load(folder, sweep.storage)
    changed = differences(before, sweep, widen)
    if changed:
        raise InputError(
            f"the sweep in {folder} is another one ({'; '.join(changed)}). Give the old values or "
            "another folder; --widen takes more values of the same fields"
        )
    trials = usual(sweep) if before.trials == usual(before) else before.trials
    after = dataclasses.replace(
        before, config=sweep.config, trials=sweep.trials or trials, command=sweep.command
    )
    if before.space == sweep.space:
        if after != before:
            files.write_json(folder / SWEEP, stored(after))
        return after, None
    name, _, generation = before.study.partition("+")
    study = f"{name}+{int(generation or 0) + 1}"
    return dataclasses.replace(after, space=sweep.space, study=study), before


def usual(sweep: Sweep) -> int:
    """Returns how many trials a sweep has where nobody says: all of a grid, or of a population."""
    if sweep.population:
        return sweep.population
    return int(sweep.space.size) if sweep.sampler == "grid" else 20


def differences(before: Sweep, now: Sweep, widen: bool) -> list[str]:
    """Returns "what: before, now after" for all that makes `now` another sweep."""
    found = history.differences(*(paths.located(s.config) for s in (before, now)))
    # A run may be validated at other times when it is gone on with; points that are compared at a
    # number of validations, or by the best of them, may not.
    counted = now.pruner != "none" or now.config["evaluate"]["select"] == "best"
    old, new = (s.config["evaluate"]["every_epochs"] for s in (before, now))
    if counted and old != new:
        found.append(f"evaluate.every_epochs: {old}, now {new}")
    for name in ("seeds", "sampler", "pruner", "metric", "draw", "population"):
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            found.append(f"{name}: {old}, now {new}")
    olds = {d.field: d for d in before.space.dimensions}
    news = {d.field: d for d in now.space.dimensions}
    for field in sorted(olds.keys() | news.keys()):
        old, new = olds.get(field), news.get(field)
        wider = widen and old is not None and new is not None and new.holds(old)
        if old != new and not wider:
            texts = [d.text if d else "not varied" for d in (old, new)]
            found.append(f"{field}: {texts[0]}, now {texts[1]}")
    return found
