"""Which point is next: proposed by Optuna's samplers, stored before it runs, taken by one worker.

Whoever takes a trial holds the lock of its claim for as long as it lives. A trial that has not
ended and that nobody claims was left by a worker that died, and goes to the next one who asks.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from cnnjax.errors import Failure
from cnnjax.sweep import locks, record, storage
from cnnjax.sweep.record import Sweep
from cnnjax.sweep.space import Point, Space

# Names of a trial's attributes in the storage.
STATE, REASON, REPEATS, RUNS, BEGUN, STEPS = "state", "reason", "repeats", "runs", "begun", "steps"
WORKER, SECONDS, SCHEDULE = "worker", "seconds", "schedule"
PLANNED, RUNNING, DONE, PRUNED, FAILED, INFEASIBLE = (
    "planned", "running", "done", "pruned", "failed", "infeasible"
)  # fmt: skip
# Points in a row that cannot exist, or proposals of points that have been tried, before a sampler
# is given up on.
USELESS = 50


@dataclasses.dataclass(frozen=True)
class Task:
    """A trial that is this worker's own, until its claim is closed."""

    trial: Any
    point: dict[str, Any]
    claim: TextIO

    @property
    def number(self) -> int:
        return self.trial.number


def distributions(space: Space) -> dict[str, Any]:
    """Returns what Optuna calls the fields and their values."""
    from optuna import distributions as kinds

    found: dict[str, Any] = {}
    for d in space.dimensions:
        if d.kind == "choice":
            found[d.field] = kinds.CategoricalDistribution(d.words)
        elif d.kind == "int" or d.whole:
            log = d.kind == "log"
            found[d.field] = kinds.IntDistribution(int(d.low), int(d.high), log=log, step=d.step)
        else:
            found[d.field] = kinds.FloatDistribution(d.low, d.high, log=d.kind == "log")
    return found


def sampler(sweep: Sweep, number: int, attempt: int = 0) -> Any:
    """Returns the sampler of one trial, seeded by its number.

    Which worker asks, and how often the sweep was interrupted, then changes nothing; with one
    seed for all, each worker would propose the same points.
    """
    from optuna import samplers

    seed = int(np.random.SeedSequence([sweep.draw, number, attempt]).generate_state(1)[0])
    if sweep.sampler == "tpe":
        return samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    if sweep.sampler == "qmc":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # It may change with another version of Optuna.
            return samplers.QMCSampler(
                seed=sweep.draw, scramble=True, warn_asynchronous_seeding=False
            )
    return samplers.RandomSampler(seed=seed)


def proposed(sweep: Sweep, kept: Any, trials: Sequence[Any]) -> dict[str, Any] | None:
    """Returns the next point as the storage has it, None where every point has been tried."""
    space, number = sweep.space, len(trials)
    tried = [t.params for t in trials]
    different = {tuple(sorted(params.items())) for params in tried}
    if len(different) >= space.size:
        return None
    if sweep.sampler == "grid":
        points = map(space.stored, space.grid())
        return next((p for p in points if tuple(sorted(p.items())) not in different), None)
    if useless_in_a_row(trials) < USELESS:
        for attempt in range(USELESS):
            asked = sampler(sweep, number, attempt)
            point = (learned if sweep.sampler == "tpe" else drawn)(sweep, kept, trials, asked)
            if point not in tried:
                return point
    return untried(sweep, number, tried)


def learned(sweep: Sweep, kept: Any, trials: Sequence[Any], asked: Any) -> dict[str, Any]:
    """Returns what a sampler makes of the trials, asked about a copy of them in memory.

    It creates the trial that it is asked for, and writes into it bit by bit; here half of one is
    nobody's loss. Of trials that failed or could not exist Optuna learns nothing; here they break
    a constraint, so that it keeps away from their like.
    """
    from optuna.trial import TrialState, create_trial

    known = distributions(sweep.space)
    copy = storage.quiet().create_study(direction=sweep.direction, sampler=asked)
    for trial in trials:
        if trial.state == TrialState.FAIL:
            broken = {"ends": 1.0}
            trial = create_trial(
                params=trial.params, distributions=known, value=0.0, constraints=broken
            )
        copy.add_trial(trial)
    return copy.ask(known).params


def drawn(sweep: Sweep, kept: Any, trials: Sequence[Any], asked: Any) -> dict[str, Any]:
    """Returns a point of a sampler that looks at no trials; the storage counts those of qmc."""
    from optuna import trial as states

    study, known = storage.study(sweep, kept, asked), distributions(sweep.space)
    blank = states.create_trial(state=states.TrialState.RUNNING)
    if sweep.sampler == "qmc":
        return asked.sample_relative(study, blank, known)
    return {name: asked.sample_independent(study, blank, name, d) for name, d in known.items()}


def useless_in_a_row(trials: Sequence[Any]) -> int:
    """Returns how many of the last trials were infeasible or repeats."""
    count = 0
    for trial in reversed(trials):
        if trial.user_attrs.get(STATE) != INFEASIBLE and REPEATS not in trial.user_attrs:
            break
        count += 1
    return count


def untried(sweep: Sweep, number: int, tried: Sequence[Point]) -> dict[str, Any]:
    """Returns a random point that no trial had; raises Failure where none seems to exist."""
    draw = np.random.default_rng([sweep.draw, number])
    if np.isfinite(sweep.space.size):
        for _ in range(10_000):
            point = sweep.space.stored(sweep.space.random(draw))
            if point not in tried:
                return point
    raise Failure(
        f"the last {USELESS} points cannot exist or had been tried before: {record.TABLE} says "
        "why; narrow the space"
    )


def take(folder: Path, sweep: Sweep, kept: Any, trials: int) -> Task | None:
    """Returns a trial to work on: one left by a dead worker, or a new one; None without any.

    `trials` is how many of the whole sweep are to run; repeats and infeasible points do not count.
    """
    with locks.turn(folder / record.TURN):
        study = storage.sturdy(lambda: storage.study(sweep, kept))
        found = storage.sturdy(lambda: study.get_trials(deepcopy=False))
        for trial in found:
            if not trial.state.is_finished() and (task := claimed(folder, sweep, study, trial)):
                return task
        counted = [t for t in found if counts(t)]
        if len(counted) >= trials:
            return None
        point = storage.sturdy(lambda: proposed(sweep, kept, found))
        if point is None:
            return None
        storage.sturdy(partial(add, study, point, distributions(sweep.space)))
        return claimed(folder, sweep, study, storage.sturdy(study.get_trials)[len(found)])


def counts(trial: Any) -> bool:
    """Returns whether a trial is one of those that were asked for."""
    return trial.user_attrs.get(STATE) != INFEASIBLE and REPEATS not in trial.user_attrs


def add(study: Any, point: Point, known: dict[str, Any]) -> None:
    """Stores a trial with its point, in one write: half a trial there never is."""
    from optuna import trial as trials

    study.add_trial(
        trials.create_trial(
            state=trials.TrialState.RUNNING, params=dict(point), distributions=known,
            user_attrs={STATE: PLANNED},
        )
    )  # fmt: skip


def claimed(folder: Path, sweep: Sweep, study: Any, trial: Any) -> Task | None:
    """Returns the trial as a task where nobody else has it, and it has not ended just now."""
    claim = locks.taken(folder / record.CLAIMS / f"{trial.number}")
    if claim is None:
        return None
    trial = storage.sturdy(lambda: study.get_trials(deepcopy=False)[trial.number])
    if trial.state.is_finished():
        claim.close()
        return None
    return Task(trial, sweep.space.point(trial.params), claim)


def open_trials(sweep: Sweep, kept: Any) -> bool:
    """Returns whether any trial has not ended yet."""
    study = storage.sturdy(lambda: storage.study(sweep, kept))
    trials = storage.sturdy(lambda: study.get_trials(deepcopy=False))
    return any(not trial.state.is_finished() for trial in trials)
