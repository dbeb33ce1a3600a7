"""The life of a trial: planned, running, then done, pruned, failed or infeasible.

Each change is stored when it happens. A trial that a worker left is gone on with from the
checkpoints in its workdirs, and ends with the same bits.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnnjax.errors import Failure, InputError
from cnnjax.sweep import plan, record, storage
from cnnjax.sweep.points import applied
from cnnjax.sweep.record import Sweep
from cnnjax.train import stop
from cnnjax.workdir import files, fitness
from cnnjax.workdir.disk import tells_of_a_full_disk

Judge = Callable[[int, Mapping[str, float]], None]
# Takes a config, a workdir and a judge of validations: cnnjax.train.run.run, or a toy of the tests.
Run = Callable[[Mapping[str, Any], Path, Judge], Mapping[str, Any]]
# Raises InputError where a config cannot run; returns its steps and the steps of an epoch.
Size = Callable[[Mapping[str, Any]], tuple[int, float]]
# Workers that may die in a row with a trial in hand and none of its steps saved.
DEATHS = 10
# How the line starts by which a worker's log tells that a trial has begun.
BEGINS = "Begins trial "


class Pruned(Exception):
    """Others with the same number of validations are so much better that a trial is stopped."""


class Diary:
    """What is written down about one trial, in the storage."""

    def __init__(self, sweep: Sweep, kept: Any, number: int):
        self.kept = kept
        self.study = storage.sturdy(lambda: storage.study(sweep, kept))
        self.number = number
        self.id = self.trial()._trial_id

    def trial(self) -> Any:
        return storage.sturdy(lambda: self.study.get_trials(deepcopy=False)[self.number])

    def note(self, notes: Mapping[str, Any]) -> None:
        for name, value in notes.items():
            storage.sturdy(lambda n=name, v=value: self.kept.set_trial_user_attr(self.id, n, v))

    def report(self, step: int, value: float) -> None:
        storage.sturdy(lambda: self.kept.set_trial_intermediate_value(self.id, step, value))

    def end(self, state: str, notes: Mapping[str, Any], value: float | None = None) -> None:
        """Writes `notes`, and that the trial has ended; once, whatever the server answers."""
        from optuna.trial import TrialState

        self.note({**notes, plan.STATE: state})
        kind = {plan.DONE: TrialState.COMPLETE, plan.PRUNED: TrialState.PRUNED}
        as_known = kind.get(state, TrialState.FAIL)
        numbers = None if value is None or as_known is TrialState.FAIL else [value]

        def once() -> None:
            if not self.trial().state.is_finished():
                self.kept.set_trial_state_values(self.id, as_known, numbers)

        storage.sturdy(once)


def live(folder: Path, sweep: Sweep, kept: Any, task: plan.Task, run: Run, size: Size) -> str:
    """Takes a trial to its end, and returns the state it ended in.

    Raises Stopped where that was asked for, and Failure where no trial could go on: a full disk, or
    a storage that is gone.
    """
    diary = Diary(sweep, kept, task.number)
    if (first := first_of(diary, task)) is not None:
        state = first.user_attrs[plan.STATE] if first.values else plan.FAILED
        diary.end(state, {plan.REPEATS: first.number}, first.value)
        return state
    config = applied(sweep.config, task.point)
    try:
        steps, epoch = size(config)
    except (OSError, MemoryError, stop.Stopped):
        raise
    except Exception as error:
        diary.end(plan.INFEASIBLE, {plan.REASON: reason(error)})
        return plan.INFEASIBLE
    begun = [*task.trial.user_attrs.get(plan.BEGUN, []), saved_steps(folder, sweep, task.number)]
    if begun[-DEATHS:] == [begun[-1]] * DEATHS:
        why = f"{DEATHS - 1} workers in a row died with it; is the memory too small?"
        diary.end(plan.FAILED, {plan.REASON: why})
        return plan.FAILED
    worker = f"{socket.gethostname()}:{os.getpid()}"
    diary.note(
        {plan.BEGUN: begun, plan.STEPS: steps, plan.STATE: plan.RUNNING, plan.WORKER: worker}
    )
    print(f"{BEGINS}{task.number}.", flush=True)
    seconds, start = task.trial.user_attrs.get(plan.SECONDS, 0.0), time.monotonic()
    runs: list[dict[str, Any]] = []
    try:
        judge = judge_of(sweep, diary, steps, epoch)
        state, notes = outcome(folder, sweep, task, config, run, judge, runs)
    finally:
        diary.note({plan.SECONDS: round(seconds + time.monotonic() - start, 3)})
    values = [one["validation"].get(sweep.metric, math.nan) for one in runs]
    value = sum(values) / len(values) if values and state != plan.FAILED else None
    diary.end(state, {**notes, plan.RUNS: runs}, value)
    return state


def outcome(
    folder: Path,
    sweep: Sweep,
    task: plan.Task,
    config: Mapping[str, Any],
    run: Run,
    judge: Judge,
    runs: list[dict[str, Any]],
) -> tuple[str, dict[str, Any]]:
    """Trains a trial's seeds, appends what is kept of each to `runs`, and returns how that ended.

    Seeds after the first are judged by nobody: first ones are compared with first ones.
    """
    for seed in sweep.seed_numbers():
        place = record.workdir(folder, sweep, task.number, seed)
        one = config if "seed" in task.point else {**config, "seed": seed}
        try:
            result = run(one, place, ignore if runs else judge)
        except Pruned as pruned:
            runs.append(run_record(place, one["seed"], {}))
            return plan.PRUNED, {plan.REASON: str(pruned)}
        except (Failure, InputError, MemoryError, RuntimeError) as error:
            if not of_the_point(error):
                raise
            return plan.FAILED, {plan.REASON: reason(error)}
        runs.append(run_record(place, one["seed"], result))
        if not math.isfinite(runs[-1]["validation"].get(sweep.metric, math.nan)):
            return plan.FAILED, {plan.REASON: f"{sweep.metric} of seed {seed} is no number"}
    return plan.DONE, {}


def of_the_point(error: Exception) -> bool:
    """Returns whether an error is an answer about a point; others end the worker."""
    if isinstance(error, storage.Gone | fitness.Unreadable) or tells_of_a_full_disk(error):
        return False
    memory = isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
    return memory or isinstance(error, Failure | InputError)


def reason(error: Exception) -> str:
    """Returns an error as one line."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if isinstance(error, Failure | InputError) else f"{type(error).__name__}: {text}"


def ignore(step: int, figures: Mapping[str, float]) -> None:
    """Judges nothing."""


def first_of(diary: Diary, task: plan.Task) -> Any | None:
    """Returns the trial before this one that has the same point, if there is one."""
    trials = storage.sturdy(lambda: diary.study.get_trials(deepcopy=False))
    return next((t for t in trials[: task.number] if t.params == task.trial.params), None)


def judge_of(sweep: Sweep, diary: Diary, steps: int, epoch: float) -> Judge:
    """Returns what stores each validation, and raises Pruned where the pruner says so.

    Validations are numbered, so that points of other batch sizes or epochs are compared fairly.
    The last one comes too late to save anything.
    """
    pruner: Any = pruner_of(sweep)
    every = sweep.config["evaluate"]["every_epochs"]

    def judge(step: int, figures: Mapping[str, float]) -> None:
        value = figures.get(sweep.metric)
        if value is None:
            raise InputError(
                f"validations have no {sweep.metric!r}; they have {', '.join(sorted(figures))}"
            )
        diary.report(validation_number(step, every * epoch, steps), float(value))
        if pruner is None or step >= steps:
            return
        if storage.sturdy(lambda: pruner.prune(diary.study, diary.trial())):
            raise Pruned(f"after {step} steps, at {sweep.metric} {value:.4f}")

    return judge


def validation_number(step: int, interval: float, steps: int) -> int:
    """Returns which validation of a run of `steps` falls on a step, from 1.

    They fall on the first step at or after a multiple of the interval, and on the last.
    """
    if not interval:
        return 1
    number = int(step / interval + 1e-9)
    extra = step == steps and math.ceil(number * interval - 1e-9) < steps
    return max(number + extra, 1)


def pruner_of(sweep: Sweep) -> Any | None:
    """Returns the sweep's pruner; a third of the trials goes on past validation 1, 3, 9, ...

    ASHA is Li et al. 2020 (arXiv 1810.05934), Hyperband Li et al. 2018 (arXiv 1603.06560).
    """
    from optuna import pruners

    if sweep.pruner == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    if sweep.pruner == "hyperband":
        most = max(round(sweep.config["epochs"] / sweep.config["evaluate"]["every_epochs"]), 1)
        return pruners.HyperbandPruner(min_resource=1, max_resource=most, reduction_factor=3)
    return None


def saved_steps(folder: Path, sweep: Sweep, number: int) -> int:
    """Returns the steps of a trial that its checkpoints hold, over all seeds."""
    from cnnjax.workdir import checkpoint

    places = (record.workdir(folder, sweep, number, seed) for seed in sweep.seed_numbers())
    return sum(max(checkpoint.steps(place), default=0) for place in places if place.exists())


def run_record(workdir: Path, seed: int, result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is kept of one run: its last validation, or that of the checkpoint tested."""
    reports = files.validations(workdir)
    tested = [r for r in reports if r["step"] == result.get("tested_step")]
    chosen = (tested or reports or [{}])[-1]
    kept = {name: result[name] for name in ("params_sha256", "params", "step") if name in result}
    figures = {k: v for k, v in chosen.items() if k not in ("step", "split")}
    return {"seed": seed, "validation": figures, **kept}
