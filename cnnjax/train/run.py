"""One run, from a config to a result: the only reader of the whole config."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import Callable, Generator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cnnjax import caches, commands, history, paths, platform, tasks, tree
from cnnjax import config as configuration
from cnnjax.errors import InputError
from cnnjax.evaluation.trained import load_data
from cnnjax.parallel import hosts
from cnnjax.train import early, partition, start, stop
from cnnjax.train.clock import Clock
from cnnjax.train.course import Course
from cnnjax.train.experiment import Experiment, check_parts, prepare
from cnnjax.train.loop import Progress
from cnnjax.train.state import TrainState
from cnnjax.workdir import checkpoint, environment, files
from cnnjax.workdir.checkpoint import Checkpoints
from cnnjax.workdir.disk import full_disk_is_a_failure

Judge = Callable[[int, Mapping[str, float]], None] | None
Running = Generator[Progress, None, dict[str, Any]]


def run(
    config: Mapping[str, Any],
    workdir: Path,
    imports: float = 0.0,
    judge: Judge = None,
    ignore_platform: bool = False,
) -> dict[str, Any]:
    """Trains as `config` says, or resumes, and returns what `result.json` holds.

    `imports` are the seconds that the process has taken until this call, for the record. `judge` is
    called with the step and the figures of each validation; what it raises ends the run.
    `ignore_platform` goes on where XLA computes wrong values (`cnnjax.platform`).
    Raises InputError, with nothing written but the lock, when the config cannot work, and Stopped
    after a checkpoint when a signal asked for it. Raises Failure, and leaves the last checkpoint,
    when the loss stays infinite or not a number, when copies on several devices differ, and when
    the disk is full, and, before any data are read, where XLA computes wrong values.
    """
    running = steps(config, workdir, imports, judge, ignore_platform)
    while True:
        try:
            next(running)
        except StopIteration as end:
            return end.value


def steps(
    config: Mapping[str, Any],
    workdir: Path,
    imports: float = 0.0,
    judge: Judge = None,
    ignore_platform: bool = False,
) -> Running:
    """Is `run`, yielding after every call of the devices; closed early, the run can go on."""
    with stop.requests() as stop_requested:
        config = paths.located(tasks.resolved(configuration.check(config)))
        told = (imports, judge, ignore_platform, stop_requested)
        return (yield from claimed(config, workdir, *told))


def claimed(
    config: dict[str, Any],
    workdir: Path,
    imports: float,
    judge: Judge,
    ignore_platform: bool,
    stop_requested: stop.Requests,
) -> Running:
    """Is `steps` of a checked config, while the process listens for signals."""
    mapper = check_parts(config)
    known = hosts.from_first(partial(start.remembered, config, workdir))
    config = {**config, "init": {**config["init"], "sha256": known}}
    with full_disk_is_a_failure(workdir), contextlib.ExitStack() as claim:
        finished = hosts.from_first(partial(begin, config, workdir, claim))
        if finished is not None:
            return finished
        platform.require(mapper.platform, ignore_platform)
        clock, count = Clock(), caches.counter()
        clock.seconds["import"] = imports
        with clock.section("data"):
            config, source = start.opened(config, workdir)
            dataset = hosts.one_then_all(partial(load_data, config))
        for note in dataset.notes:
            print(note)
        experiment = prepare(
            config, dataset, mapper, start.preprocessing(config, dataset, source, workdir)
        )
        hosts.from_first(partial(record_start, experiment, workdir))
        check_shared(workdir)
        best = partial(tasks.score, experiment.task)
        stop_requested.begin()
        with Checkpoints(workdir, best, config["checkpoint"]["keep"]) as checkpoints:
            course = Course(experiment, workdir, checkpoints, clock, stop_requested, judge)
            state = yield from course.run(source)
        if early.over(config, experiment.task, workdir):
            patience = config["evaluate"]["patience"]
            print(f"The last {patience} validations were no better: the run ends here.")
        elif int(state.step) < experiment.steps:
            raise stop.Stopped(
                f"Stopped at step {int(state.step)} of {experiment.steps}; all is saved. "
                "The same command goes on from here."
            )
        result = score(experiment, state, workdir, clock)
        result["programs"] = count()
        hosts.from_first(partial(tell_missed, result["programs"], config, workdir))
        print("Seconds: " + ", ".join(f"{k} {v:.1f}" for k, v in result["seconds"].items()))
        hosts.from_first(partial(files.write_json, workdir / files.RESULT, result))
        return result


def begin(
    config: Mapping[str, Any], workdir: Path, claim: contextlib.ExitStack
) -> dict[str, Any] | None:
    """Claims the workdir; returns the result of a run that is complete.

    Refuses a workdir that is in use, or was made with another config.
    """
    claim.enter_context(files.claim(workdir))
    if not (workdir / files.CONFIG).exists():
        return None
    before = paths.located(files.read_config(workdir))
    changed = history.differences(before, config)
    if changed:
        raise InputError(
            f"workdir {workdir} was made with another config ({'; '.join(changed)}). "
            "To continue it give the old values; to start over give another workdir"
        )
    if not (workdir / files.RESULT).exists():
        return None
    result = files.read_result(workdir)
    with files.understood(workdir / files.RESULT):
        print(closing(config, workdir, result))
    return result


def closing(config: Mapping[str, Any], workdir: Path, result: Mapping[str, Any]) -> str:
    """Returns the lines that say what a complete run has found, and how to go on."""
    task, place = tasks.TASKS[tasks.name_of(config)], shlex.quote(str(workdir))
    names = (name for name in ("loss", *task.figures) if f"test_{name}" in result)
    found = ", ".join(f"{n.replace('_', ' ')} {result[f'test_{n}']:.4f}" for n in names)
    return (
        f"The run in {workdir} is complete. Test: {found}.\n"
        f"To use it: {commands.spelled('evaluate')} --workdir={place}, or "
        f"{commands.spelled('predict')} --workdir={place} FILE. To train anew give another "
        "--workdir."
    )


def record_start(experiment: Experiment, workdir: Path) -> None:
    """Writes down what is about to run; refuses data that are not those of the first start."""
    config, dataset = experiment.config, experiment.dataset
    sizes = {s: len(getattr(dataset, s)) for s in ("train", "validation", "test")}
    facts = {
        "name": dataset.name,
        "examples": sizes,
        "shape": dataset.shape,
        "class_names": dataset.class_names,
        "mean": dataset.mean,
        "std": dataset.std,
        "preprocessing": dataclasses.asdict(experiment.preprocessing),
    }
    if (workdir / files.DATASET).exists():
        before = files.read_json(workdir / files.DATASET)
        known = {name: fact for name, fact in facts.items() if name in before}
        changed = history.differences(before, known)
        if changed:
            raise InputError(
                f"{dataset.name} is not what the run in {workdir} began with ({'; '.join(changed)})"
            )
    files.write_json(workdir / files.CONFIG, config)
    record_environment(workdir, config)
    files.write_json(workdir / files.DATASET, facts)


def record_environment(workdir: Path, config: Mapping[str, Any]) -> None:
    """Writes down what this start runs on, and says where the last one did not run on the same."""
    path, now = workdir / files.ENVIRONMENT, environment.describe()
    changed: list[str] = []
    with contextlib.suppress(InputError):  # none yet, or a broken one, which is no reason to stop
        before = files.read_json(path)
        with files.understood(path):
            changed = environment.differences(before, now)
    if changed:
        print(f"warning: not where the run began ({'; '.join(changed)}): its last bits may differ.")
    files.write_json(path, now | {"init": start.told(config)})


def tell_missed(programs: Mapping[str, int], config: Mapping[str, Any], workdir: Path) -> None:
    """Says so where a run such as this should have found its programs compiled, and did not."""
    known = files.read_json(workdir / files.ENVIRONMENT)
    if sentence := caches.missed(programs, config, known):
        print(f"warning: {sentence}.")


def check_shared(workdir: Path) -> None:
    """Refuses a workdir that some process does not see: all write their part of a checkpoint."""
    with hosts.agreement():
        if not (workdir / files.CONFIG).exists():
            raise InputError(
                f"process {hosts.index()} does not see {workdir / files.CONFIG}, which the first "
                "has written: a workdir must lie where every machine of a run can reach it"
            )


def score(experiment: Experiment, state: TrainState, workdir: Path, clock: Clock) -> dict[str, Any]:
    """Returns the result: the one look at the test split, and what is known of the run."""
    variables, step = state.variables, int(state.step)
    best = partial(tasks.score, experiment.task)
    if experiment.config["evaluate"]["select"] == "best" and checkpoint.scores(workdir, best):
        step, variables = checkpoint.read_variables(workdir, variables, best)
    with clock.section("evaluate"):
        tested = experiment.evaluate(variables, experiment.dataset.test)
    print(f"Test loss: {tested['loss']:.5f}")
    figures = {name: tested[name] for name in experiment.task.figures}
    for name, value in figures.items():
        print(f"Test {name.replace('_', ' ')}: {value:.4f}")
    return {
        **{f"test_{name}": value for name, value in figures.items()},
        "test_loss": tested["loss"],
        "test_examples": tested["examples"],
        "step": int(state.step),
        "tested_step": step,
        "params": partition.size(variables["params"]),
        "params_sha256": tree.digest(variables["params"]),
        **({"init": start.told(experiment.config)} if experiment.config["init"]["path"] else {}),
        "seconds": {name: round(value, 3) for name, value in clock.seconds.items()},
    }
