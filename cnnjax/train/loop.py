"""The training loop: every concern is one call."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Generator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax import parallel, tasks
from cnnjax.parallel import replicas
from cnnjax.train import early, feed, programs
from cnnjax.train.clock import Clock
from cnnjax.train.experiment import Experiment
from cnnjax.train.log import Log, describe
from cnnjax.train.state import TrainState
from cnnjax.train.step import train_step
from cnnjax.train.stop import Vote
from cnnjax.train.watch import Watch
from cnnjax.workdir.checkpoint import Checkpoints

# Calls handed to the device before the loop waits for the oldest of them: enough to keep it busy,
# few enough that a signal is heard soon. A CPU takes seconds for a step of a large network, and
# needs no more than one call that waits.
IN_FLIGHT = {"cpu": 2, "gpu": 16, "tpu": 16}


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands after a call of the devices.

    Attributes:
      step: steps taken.
      epoch: passes over the training split, fractions included.
      training: loss and figures since the last report; empty where none was due.
      validation: loss, figures and `examples`; empty where no validation was due.
    """

    step: int
    epoch: float
    training: Mapping[str, float]
    validation: Mapping[str, float]


def train(
    experiment: Experiment,
    state: TrainState,
    workdir: Path,
    checkpoints: Checkpoints,
    clock: Clock,
    stop_requested: Callable[[], bool],
    judge: Callable[[int, Mapping[str, float]], None] | None = None,
) -> Generator[Progress, None, TrainState]:
    """Yields after every call; returns the state after the phase's last step, or where it stops.

    It stops early where somebody asks for it, or the validations get no better (`early`).
    Reports, validates and saves on the way; the returned state is saved, too.
    """
    config, mapper, dataset = experiment.config, experiment.mapper, experiment.dataset
    units = tasks.units(experiment.task)
    step, steps, batch_size = int(state.step), experiment.phase.until, config["batch_size"]
    every = intervals(experiment)
    hyper = mapper.replicate({k: jnp.float32(v) for k, v in experiment.hyper.items()})
    with clock.section("data"):
        supply = feed.feed(config, dataset.train, mapper)
    with clock.section("compile"):
        advance = {
            count: programs.once(
                experiment.programs,
                ("steps", experiment.phase.number, count, len(supply.resident)),
                partial(compiled_steps, experiment, supply, state, hyper, count),
            )
            for count in {1, supply.steps}
        }
    report: dict[str, float] = {}
    pace, queue = Pace(step, batch_size, clock), collections.deque()
    in_flight = IN_FLIGHT.get(mapper.platform, 16)
    stopping = Vote(mapper, stop_requested, in_flight)
    same = programs.once(experiment.programs, "same", partial(replicas.checker, mapper))

    def save(validated: Mapping[str, float] | None) -> None:
        watch.look(state.skipped)
        same((state.variables, state.saved()))
        log.flush()
        checkpoints.save(step, state.variables, state.saved(), validated)

    def due(interval: float) -> bool:
        return step // interval > (step - 1) // interval or step == steps

    def next_count() -> int:
        """Returns how many steps to take at once: whatever is due must be due after the last."""
        ends = [math.ceil((step // interval + 1) * interval) for interval in every.values()]
        return supply.steps if step + supply.steps <= min(*ends, steps) else 1

    with Log(workdir, step, experiment.steps, config["report"]["tensorboard"], units) as log:
        watch = Watch(experiment, workdir, log, state)
        enough = early.over(config, experiment.task, workdir)
        while step < steps and not enough and not stopping():
            with clock.section("train"):
                count = next_count()
                batches = supply.batches(step, count)
                state, metrics = advance[count](state, batches, hyper, *supply.resident)
                step += count
                wait(queue, metrics["loss"], in_flight)
                reports = due(every["report"]) or due(every["evaluate"])
                if reports:
                    report = averages(experiment, step, state.totals, metrics)
                    watch.look(state.skipped)
                    state = state.reported()
            log.advance(step, experiment.epoch(step))
            if reports:
                log.write(step, "train", report | pace.measure(step))
            validated: dict[str, float] = {}
            if due(every["evaluate"]):
                with clock.section("evaluate"):
                    validated = experiment.evaluate(state.variables, dataset.validation)
                if validated:
                    log.write(step, "validation", validated)
                    if judge is not None:
                        judge(step, validated)
                log.line(summary(experiment, step, report, validated))
                enough = bool(validated) and early.over(config, experiment.task, workdir)
            if due(every["checkpoint"]) or (validated and config["evaluate"]["select"] == "best"):
                with clock.section("checkpoint"):
                    save(validated)
            shown = report if reports else {}
            yield Progress(step, experiment.epoch(step), shown, validated)
        with clock.section("checkpoint"):
            save(None)
            checkpoints.wait()
    return state


def intervals(experiment: Experiment) -> dict[str, float]:
    """Returns the steps between reports, validations and checkpoints."""
    config = experiment.config
    return {
        "report": config["report"]["every_steps"],
        "evaluate": experiment.steps_of(config["evaluate"]["every_epochs"]),
        "checkpoint": experiment.steps_of(config["checkpoint"]["every_epochs"]),
    }


def compiled_steps(
    experiment: Experiment,
    supply: feed.Feed,
    state: TrainState,
    hyper: Any,
    count: int,
    together: bool = False,
) -> Callable[..., Any]:
    """Returns `count` training steps in one program, compiled for the shapes at hand.

    It takes the state, the batches, the hyperparameters and the resident data, if any, and returns
    the state and the metrics after the last step. `together`, the leaves of the state and of the
    hyperparameters have one dimension more in front, of several runs that share their batches.
    """
    config, mapper = experiment.config, experiment.mapper
    step = partial(
        train_step,
        task=experiment.task,
        module=experiment.module,
        augment=experiment.augment,
        preprocess=experiment.preprocess,
        optimizer=experiment.optimizer,
        axis_name=parallel.AXIS,
        accumulate=config["optimizer"]["accumulate"],
        patience=config["nonfinite"]["patience"],
        freeze=experiment.phase.freeze,
        ema=config["optimizer"]["ema"],
    )

    def several(state, batches, hyper, *resident):
        def one(state, batch):
            examples = feed.chosen(batch, *resident)
            if together:
                return jax.vmap(step, (0, None, 0))(state, examples, hyper)
            return step(state, examples, hyper)

        # Without a scan: a convolution inside of one is slow on XLA:CPU.
        if count == 1:
            return one(state, jax.tree.map(lambda x: x[:, 0], batches))
        ordered = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), batches)
        state, metrics = jax.lax.scan(one, state, ordered)
        return state, jax.tree.map(lambda x: x[-1], metrics)

    # Not as an argument that may be empty: pmap takes the axes of such for those of the next.
    split = (False, True, False, *(False for _ in supply.resident))
    mapped = mapper.map(several, split=split, donate=(0,))
    return mapped.compiled(state, supply.batches(0, count), hyper, *supply.resident)


def wait(queue: collections.deque, newest: jax.Array, most: int) -> None:
    """Waits for the oldest result once more than `most` are under way."""
    queue.append(newest)
    if len(queue) > most:
        queue.popleft().block_until_ready()


def averages(
    experiment: Experiment, step: int, totals: Mapping[str, jax.Array], last: Mapping[str, Any]
) -> dict[str, float]:
    """Returns loss and figures since the last report, and the last step's norm and rate.

    What skipped steps leave without a finite value is left out.
    """
    sums, norm = jax.device_get((totals, last["gradient_norm"]))
    share = float(experiment.share(jnp.int32(step - 1)))
    found = {"learning_rate": experiment.hyper["learning_rate"] * share}
    if math.isfinite(norm):
        found = {"gradient_norm": float(norm)} | found
    if not sums["count"]:
        return found
    return tasks.report(experiment.task, sums) | found


class Pace:
    """Images per second of training, validations and checkpoints left out, between two reports."""

    def __init__(self, step: int, batch_size: int, clock: Clock):
        self.step, self.batch_size, self.clock = step, batch_size, clock
        self.seconds = clock.seconds["train"]

    def measure(self, step: int) -> dict[str, float]:
        seconds = self.clock.seconds["train"]
        images = (step - self.step) * self.batch_size
        rate = images / max(seconds - self.seconds, 1e-9)
        self.step, self.seconds = step, seconds
        return {"images_per_second": round(rate, 1)}


def summary(
    experiment: Experiment, step: int, report: Mapping[str, float], validated: Mapping[str, float]
) -> str:
    """Returns the line of an epoch."""
    epochs = experiment.config["epochs"]
    units = tasks.units(experiment.task)
    line = f"epoch {experiment.epoch(step):.1f}/{epochs:g}  step {step}  {describe(report, units)}"
    return f"{line}  validation {describe(validated, units)}" if validated else line
