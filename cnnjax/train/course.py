"""The course of a run: from where it starts, or goes on, through its phases to the last step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Mapping
from functools import partial
from pathlib import Path

import jax

from cnnjax import draws
from cnnjax.parallel import hosts
from cnnjax.train import partition, phases, programs, start, watch
from cnnjax.train.clock import Clock
from cnnjax.train.experiment import Experiment
from cnnjax.train.loop import Progress, train
from cnnjax.train.state import TrainState, from_saved
from cnnjax.train.step import create_state
from cnnjax.workdir import files
from cnnjax.workdir.checkpoint import Checkpoints

Source = Callable[[], start.Source] | None
Advance = Generator[Progress, None, TrainState]


@dataclasses.dataclass(frozen=True, eq=False)
class Course:
    """What a run needs on its way; the arguments of `loop.train`."""

    experiment: Experiment
    workdir: Path
    checkpoints: Checkpoints
    clock: Clock
    stop_requested: Callable[[], bool]
    judge: Callable[[int, Mapping[str, float]], None] | None = None

    def run(self, source: Source = None) -> Advance:
        """Trains from the newest good checkpoint on, and from there again where the config says so.

        Yields as `loop.train` does; returns the state after the last step, or where it stopped.
        """
        retreating = False
        while True:
            experiment, state = resume(self.experiment, self.checkpoints, self.workdir, source)
            step = int(state.step)
            if retreating:
                hosts.from_first(partial(files.add_retreat, self.workdir, step))
                rate = watch.slowed(experiment, self.workdir, step).hyper["learning_rate"]
                print(f"Back at step {step}; the learning rate is {rate:g}.")
            else:
                print(opening(experiment, state))
            try:
                return (yield from self.through(experiment, state))
            except watch.NotFinite:
                if not watch.retreats(experiment, self.workdir):
                    raise
                retreating = True

    def through(self, experiment: Experiment, state: TrainState) -> Advance:
        """Trains from a state in a phase to the end of the last phase."""
        for phase in experiment.phases[experiment.phase.number :]:
            if phase.number != experiment.phase.number:
                experiment = experiment.entered(phase)
                state = phases.begun(phase, state, experiment.hyper, experiment.mapper)
                print(opening(experiment, state))
            last = phase is experiment.phases[-1]
            if int(state.step) < phase.until or last:
                slower = watch.slowed(experiment, self.workdir, int(state.step))
                state = yield from train(
                    slower, state, self.workdir, self.checkpoints, self.clock,
                    self.stop_requested, self.judge,
                )  # fmt: skip
            if int(state.step) < phase.until:
                break
        return state


def initial(experiment: Experiment) -> TrainState:
    """Returns the state before the first step, by chance."""
    create = partial(
        create_state,
        experiment.module,
        experiment.optimizer(experiment.hyper, 0),
        task=experiment.task,
        facts=experiment.dataset.facts,
        freeze=experiment.phase.freeze,
        ema=experiment.config["optimizer"]["ema"],
    )
    created = programs.once(experiment.programs, "create", partial(draws.program, create))
    return experiment.mapper.replicate(created(jax.random.key(experiment.config["seed"])))


def resume(
    experiment: Experiment, checkpoints: Checkpoints, workdir: Path, source: Source = None
) -> tuple[Experiment, TrainState]:
    """Returns the phase and state of the newest good checkpoint, or those before the first step."""
    first = initial(experiment)
    for phase in reversed(experiment.phases):
        inside = experiment.entered(phase)
        state = phases.begun(phase, first, inside.hyper, inside.mapper) if phase.number else first
        after = phase.start if phase.number else -1
        restored = checkpoints.restore(state.variables, state.saved(), after)
        if restored is not None:
            step, variables, training = restored
            state = from_saved(variables, training)
            print(f"Resuming {workdir} at step {step} of {experiment.steps}.")
            break
    else:
        inside, state = begun(experiment, first, source)
    hosts.from_first(partial(files.trim_metrics, workdir, int(state.step)))
    return inside, state


def begun(
    experiment: Experiment, first: TrainState, source: Source
) -> tuple[Experiment, TrainState]:
    """Returns the phase and the state that a run begins in, `first` being that of chance."""
    if source is None:
        return experiment, first
    found, config = source(), experiment.config
    if config["init"]["take"] == "weights":
        facts, head = experiment.dataset.facts, config["init"]["head"]
        return experiment, start.started(first, found, experiment.module, facts, head)
    step = found.step or 0
    phase = next(p for p in reversed(experiment.phases) if p.start < step or not p.number)
    inside = experiment.entered(phase)
    blank = phases.begun(phase, first, inside.hyper, inside.mapper) if phase.number else first
    return inside, start.continued(found, config, blank, experiment.steps)


def opening(experiment: Experiment, state: TrainState) -> str:
    """Returns the line that says what is about to be trained, on what."""
    dataset, devices = experiment.dataset, experiment.mapper.mesh.devices
    count = f"{partition.size(state.params):,} parameters"
    if frozen := partition.size(partition.split(state.params, experiment.phase.freeze)[1]):
        count += f" ({frozen:,} frozen)"
    shape = "x".join(map(str, dataset.shape))
    return (
        f"{experiment.config['model']['name']}, {count}, on {dataset.name}: "
        f"{len(dataset.train):,} images of {shape} to train, {len(dataset.validation):,} to "
        f"validate, {len(dataset.test):,} to test; {experiment.steps:,} steps on "
        f"{devices.size} x {devices.flat[0].device_kind}"
    )
