"""Members: runs that differ in values of the step alone, trained side by side in one process.

Either one after the other, by the program that they share, or all in one program, by `jax.vmap`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax.errors import InputError
from cnnjax.train import feed, programs
from cnnjax.train.course import initial
from cnnjax.train.experiment import Experiment
from cnnjax.train.loop import compiled_steps
from cnnjax.train.state import TrainState

# Steps that a probe takes of each way, after one that is not counted.
PROBE = 3
Hyper = Sequence[dict[str, float]]


@dataclasses.dataclass(frozen=True, eq=False)
class Members:
    """What trains several runs of one experiment that differ in their hyperparameters.

    Attributes:
      together: whether they are one program.
      advance: from the states, which are given up, the first step, how many, and the
        hyperparameters to the states after them.
    """

    experiment: Experiment
    together: bool
    advance: Callable[[list[TrainState], int, int, Hyper], list[TrainState]]


def stacked(trees: Sequence[Any]) -> Any:
    """Returns one tree, whose leaves have a dimension of the trees in front."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def parted(tree: Any, count: int) -> list[Any]:
    """Returns the trees that `stacked` has made one of."""
    return [jax.tree.map(lambda leaf, i=i: leaf[i], tree) for i in range(count)]


def members(experiment: Experiment, count: int, together: bool | None = None) -> Members:
    """Returns what trains `count` runs; where `together` is None, in the way that a probe chooses.

    Raises InputError for several devices, which no run here would use.
    """
    if experiment.mapper.devices > 1:
        raise InputError("members of a population share one device: set parallel.devices=1")
    ways = (False, True) if together is None else (together,)
    made = [Members(experiment, way, (vectorized if way else in_turn)(experiment, count))
            for way in ways]  # fmt: skip
    return min(made, key=partial(seconds, count=count)) if len(made) > 1 else made[0]


def seconds(made: Members, count: int) -> float:
    """Returns the seconds of a few steps, which nobody keeps."""
    hyper = [made.experiment.hyper] * count
    states = made.advance(starts(made.experiment, count), 0, 1, hyper)
    begin = time.perf_counter()
    jax.block_until_ready(made.advance(states, 1, PROBE, hyper))
    return time.perf_counter() - begin


def starts(experiment: Experiment, count: int) -> list[TrainState]:
    """Returns the state before the first step, once for each member."""
    return [initial(experiment) for _ in range(count)]


def placed(experiment: Experiment, hyper: dict[str, float]) -> Any:
    return experiment.mapper.replicate({k: jnp.float32(v) for k, v in hyper.items()})


def in_turn(experiment: Experiment, count: int) -> Callable[..., list[TrainState]]:
    """Returns what trains members one after the other, each to the bits of its run alone."""
    supply = feed.feed(experiment.config, experiment.dataset.train, experiment.mapper)
    state, hyper = initial(experiment), placed(experiment, experiment.hyper)
    program = programs.once(
        experiment.programs, ("steps", experiment.phase.number, 1, len(supply.resident)),
        partial(compiled_steps, experiment, supply, state, hyper, 1),
    )  # fmt: skip

    def advance(states: list[TrainState], step: int, steps: int, values: Hyper):
        ended = []
        for state, own in zip(map(experiment.mapper.replicate, states), values, strict=True):
            given = placed(experiment, own)
            for number in range(step, step + steps):
                state, _ = program(state, supply.batches(number, 1), given, *supply.resident)
            ended.append(jax.block_until_ready(state))
        return ended

    return advance


def vectorized(experiment: Experiment, count: int) -> Callable[..., list[TrainState]]:
    """Returns what trains members by one program; rounding apart, each as its run alone."""
    supply = feed.feed(experiment.config, experiment.dataset.train, experiment.mapper)

    def hyper_of(values: Hyper) -> Any:
        return experiment.mapper.replicate(
            stacked([{k: jnp.float32(v) for k, v in own.items()} for own in values])
        )

    state = experiment.mapper.replicate(stacked(starts(experiment, count)))
    hyper = hyper_of([experiment.hyper] * count)
    program = programs.once(
        experiment.programs, ("members", count, len(supply.resident)),
        partial(compiled_steps, experiment, supply, state, hyper, 1, together=True),
    )  # fmt: skip

    def advance(states: list[TrainState], step: int, steps: int, values: Hyper):
        state, given = experiment.mapper.replicate(stacked(states)), hyper_of(values)
        for number in range(step, step + steps):
            state, metrics = program(state, supply.batches(number, 1), given, *supply.resident)
            # A CPU keeps few calls in flight; without a wait their batches would pile up.
            jax.block_until_ready(metrics["loss"])
        return parted(state, count)

    return advance
