"""Populations: members train side by side, and the worst take over from the best.

Population based training, Jaderberg et al. 2017 (arXiv 1711.09846), with truncation selection: at
each validation the worst fifth copies weights and values of members of the best fifth, and each
copied value is then multiplied by 0.8 or 1.2. All members begin with the same weights and see the
same batches: they differ in their values, and so can be one program.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax import config as configuration
from cnnjax import tasks
from cnnjax.errors import InputError
from cnnjax.sweep import life, locks, plan, record, show, storage, worker
from cnnjax.sweep.points import applied
from cnnjax.sweep.record import Sweep
from cnnjax.sweep.space import Space
from cnnjax.train import members, programs, run, stop
from cnnjax.train.clock import Clock
from cnnjax.train.experiment import Experiment, check_parts, prepare
from cnnjax.train.state import TrainState, from_saved
from cnnjax.workdir import files
from cnnjax.workdir.checkpoint import Checkpoints

SHARE, FACTORS = 0.2, (0.8, 1.2)
FOLDER, HISTORY = "population", "population.jsonl"
Line = dict[str, Any]


def check(sweep: Sweep) -> None:
    """Raises InputError for a sweep that cannot be a population."""
    if sweep.population < 2:
        raise InputError(f"a population has at least 2 members; given {sweep.population}")
    for wrong, words in (
        (sweep.seeds > 1, "has one seed: leave out --seeds"),
        (sweep.pruner != "none", "stops nobody: leave out --pruner"),
        ("seed" in sweep.space.texts(), "compares members on one split: take the seed out"),
        (not sweep.config["evaluate"]["every_epochs"], "needs evaluate.every_epochs: how often "
         "the worst take over from the best"),
        (sweep.config["evaluate"]["select"] == "best", "ends with its last weights: set "
         "evaluate.select=last"),
        (sweep.config["evaluate"]["patience"], "takes over instead of ending early: set "
         "evaluate.patience=0"),
        (sweep.config["init"]["path"], "begins by chance: leave out init.path"),
        (sweep.config["unfreeze"]["after_epochs"], "has one phase: leave out unfreeze"),
    ):  # fmt: skip
        if wrong:
            raise InputError(f"a population {words}")


def train(
    folder: Path,
    sweep: Sweep,
    kept: Any,
    stop_requested: Callable[[], bool] = lambda: False,
    together: bool | None = None,
) -> None:
    """Trains the population of a folder, or goes on with it, to the same bits on one machine.

    `together` is whether members are one program; None: whatever a short probe finds faster.
    Raises InputError for fields that are compiled into the step, and Stopped once all is saved.
    """
    check(sweep)
    alone = locks.taken(folder / FOLDER / files.LOCK)
    if alone is None:
        raise InputError(f"another process trains the population in {folder}")
    with alone, programs.shared():
        values = first_values(folder, sweep, kept)
        base = experiment_of(sweep, values[0])
        for point in (*values, *corners(sweep.space)):
            if experiment_of(sweep, point).programs is not base.programs:
                raise InputError(
                    "a population varies only what the compiled step takes as an argument "
                    "(learning rate, weight decay, label smoothing, dropout rates and strengths of "
                    f"an augmentation, none of them 0); {show.short(point)} is another program"
                )
        trained = members.members(base, len(values), together)
        print(f"{len(values)} members, {'in one program' if trained.together else 'in turn'}.")
        score = tasks.score
        with Checkpoints(folder / FOLDER, lambda figures: score(base.task, figures)) as saved:
            generations(folder, sweep, kept, trained, values, saved, stop_requested)


def experiment_of(sweep: Sweep, values: Mapping[str, Any]) -> Experiment:
    config = tasks.resolved(configuration.check(applied(sweep.config, values)))
    return prepare(config, worker.data_of(config), check_parts(config))


def corners(space: Space) -> list[dict[str, Any]]:
    """Returns the points of all lowest and of all highest values."""
    ends = {d.field: d.ends() for d in space.dimensions}
    return [{field: values[i] for field, values in ends.items()} for i in (0, -1)]


def first_values(folder: Path, sweep: Sweep, kept: Any) -> list[dict[str, Any]]:
    """Returns the points that the members begin with, stored as trials."""
    drawn = "qmc" if sweep.sampler == "qmc" else "random"
    like = dataclasses.replace(sweep, sampler=drawn)
    study = storage.sturdy(lambda: storage.study(sweep, kept))
    with locks.turn(folder / record.TURN):
        while len(trials := study.get_trials(deepcopy=False)) < sweep.population:
            point = plan.proposed(like, kept, trials)
            if point is None:
                raise InputError(f"the space has fewer than {sweep.population} points")
            plan.add(study, point, plan.distributions(sweep.space))
    return [sweep.space.point(t.params) for t in trials[: sweep.population]]


def generations(
    folder: Path,
    sweep: Sweep,
    kept: Any,
    trained: members.Members,
    values: list[dict[str, Any]],
    saved: Checkpoints,
    stop_requested: Callable[[], bool],
) -> None:
    base, count = trained.experiment, len(values)
    interval = base.steps_of(base.config["evaluate"]["every_epochs"])
    places = [record.workdir(folder, sweep, i, base.config["seed"]) for i in range(count)]
    states, lines = restored(folder, trained, saved, values)
    diaries = [life.Diary(sweep, kept, i) for i in range(count)]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        files.trim_metrics(place, lines[-1]["step"])
    while (step := lines[-1]["step"]) < base.steps:
        if stop_requested():
            raise stop.Stopped(f"Stopped at step {step} of {base.steps}; all is saved.")
        values = [member["values"] for member in lines[-1]["members"]]
        end = min(math.ceil((step // interval + 1) * interval), base.steps)
        hyper = [experiment_of(sweep, point).hyper for point in values]
        states = trained.advance(states, step, end - step, hyper)
        figures = [base.evaluate(s.variables, base.dataset.validation) for s in states]
        number = life.validation_number(end, interval, base.steps)
        for diary, place, found in zip(diaries, places, figures, strict=True):
            with (place / files.METRICS).open("a") as file:
                file.write(files.as_json({"step": end, "split": "validation", **found}) + "\n")
            diary.report(number, found[sweep.metric])
        reached = [found[sweep.metric] for found in figures]
        lines.append(next_line(sweep, end, reached, values, last=end == base.steps))
        # Copies, since each state is given up to the step that follows.
        together = members.stacked([states[m["from"]] for m in lines[-1]["members"]])
        states = members.parted(together, count)
        print(told(sweep, lines[-1], values, base.steps), flush=True)
        append(folder / HISTORY, lines[-1])
        saved.save(end, together.variables, together.saved(), None)
    for i, diary in enumerate(diaries):
        finish(sweep, diary, base, states[i], places[i], lines)


def restored(
    folder: Path, trained: members.Members, saved: Checkpoints, values: list[dict[str, Any]]
) -> tuple[list[TrainState], list[Line]]:
    """Returns the states and the history of the newest good checkpoint, or of the start."""
    states = members.starts(trained.experiment, len(values))
    start = {"step": 0, "members": [{"value": None, "from": i, "values": point}
                                    for i, point in enumerate(values)]}  # fmt: skip
    template = members.stacked(states)
    found = saved.restore(template.variables, template.saved())
    path = folder / HISTORY
    lines = [start]
    if found is not None:
        step, variables, training = found
        states = members.parted(from_saved(variables, training), len(values))
        known = [json.loads(line) for line in path.read_text().splitlines()]
        lines = [line for line in known if line["step"] <= step]
        print(f"Resuming at step {step} of {trained.experiment.steps}.")
    part = path.with_name(f"{path.name}.part")
    part.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.replace(part, path)
    return states, [json.loads(json.dumps(line)) for line in lines]


def append(path: Path, line: Line) -> None:
    """Adds a line to a file, on the disk when this returns."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


def next_line(
    sweep: Sweep,
    step: int,
    reached: Sequence[float],
    values: Sequence[Mapping[str, Any]],
    last: bool = False,
) -> Line:
    """Returns who goes on from whom after a validation, and with which values.

    It is a function of the sweep's draw, the step and what was reached.
    """
    draw = np.random.default_rng([sweep.draw, step])
    sign = 1 if sweep.direction == "maximize" else -1
    worth = [sign * x if math.isfinite(x) else -math.inf for x in reached]
    order = [int(i) for i in np.argsort(worth, kind="stable")]
    few = max(int(SHARE * len(order)), 1)
    line = [{"value": x, "from": i, "values": dict(values[i])} for i, x in enumerate(reached)]
    for loser in [] if last else order[:few]:
        winner = int(draw.choice(order[-few:]))
        if worth[winner] > worth[loser]:
            line[loser] |= {"from": winner, "values": explored(sweep.space, values[winner], draw)}
    return {"step": step, "members": line}


def explored(space: Space, values: Mapping[str, Any], draw: np.random.Generator) -> dict[str, Any]:
    """Returns values near others: times 0.8 or 1.2 within their ranges, or the next choice."""
    changed = {}
    for d in space.dimensions:
        side = int(draw.integers(2))
        if d.kind == "choice":
            place = d.choices.index(values[d.field]) + (-1, 1)[side]
            changed[d.field] = d.choices[min(max(place, 0), len(d.choices) - 1)]
            continue
        moved = min(max(values[d.field] * FACTORS[side], d.low), d.high)
        changed[d.field] = round(moved) if d.kind == "int" or d.whole else moved
    return changed


def told(sweep: Sweep, line: Line, values: Sequence[Mapping[str, Any]], steps: int) -> str:
    """Returns what became of the members in a sentence."""
    worth = [member["value"] for member in line["members"]]
    finite = [i for i, x in enumerate(worth) if math.isfinite(x)] or [0]
    best = (max if sweep.direction == "maximize" else min)(finite, key=lambda i: worth[i])
    over = sum(member["from"] != i for i, member in enumerate(line["members"]))
    return (
        f"step {line['step']} of {steps}: best {sweep.metric} {show.figure(sweep, worth[best])}, "
        f"member {best} ({show.short(values[best])}); {over} took over from others"
    )


def schedule(lines: Sequence[Line], member: int) -> list[dict[str, Any]]:
    """Returns the values that the weights of a member were trained with, and from which step on."""
    found = []
    for line in reversed(lines[:-1]):
        found.append({"step": line["step"], "values": line["members"][member]["values"]})
        member = line["members"][member]["from"]
    return found[::-1]


def finish(
    sweep: Sweep, diary: life.Diary, base: Experiment, state: TrainState, place: Path,
    lines: Sequence[Line],
) -> None:  # fmt: skip
    """Makes a member's folder a workdir like any other, and its trial done."""
    own = schedule(lines, diary.number)
    experiment = experiment_of(sweep, own[-1]["values"])
    worth = files.validations(place)[-1]
    with files.claim(place):
        run.record_start(experiment, place)
        score = tasks.score
        with Checkpoints(place, lambda figures: score(base.task, figures)) as saved:
            saved.save(int(state.step), state.variables, state.saved(), worth)
        with contextlib.redirect_stdout(io.StringIO()):
            result = run.score(experiment, state, place, Clock())
        files.write_json(place / files.RESULT, result)
    notes = {plan.RUNS: [life.run_record(place, base.config["seed"], result)], plan.SCHEDULE: own}
    value = worth.get(sweep.metric)
    good = isinstance(value, float) and math.isfinite(value)
    notes |= {} if good else {plan.REASON: f"{sweep.metric} is no number"}
    diary.end(plan.DONE if good else plan.FAILED, notes, value)
