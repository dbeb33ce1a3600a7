"""The phases of a run: one, or a second one in which frozen layers are trained, too.

Each has its own optimiser, whose state begins anew, and goes through the whole schedule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import optax
from flax import linen as nn

from cnnjax import compiler, models, parallel
from cnnjax import config as configuration
from cnnjax.errors import InputError
from cnnjax.train import optim, partition, rates
from cnnjax.train.state import TrainState


@dataclasses.dataclass(frozen=True, eq=False)
class Phase:
    """Steps in which one optimiser trains the same layers.

    Attributes:
      start, until: the step before the first, and the last.
      freeze: pattern of the layers that stay as they are.
      learning_rate: the peak.
      share: from the step of the run to the share of the peak.
      optimizer: from the hyperparameters and the step to the optimiser of this step.
    """

    number: int
    start: int
    until: int
    freeze: str
    learning_rate: float
    share: Callable[[Any], Any]
    optimizer: Callable[[Mapping[str, Any], Any], optax.GradientTransformation]


def of(
    config: Mapping[str, Any], module: nn.Module, shape: Sequence[int], per_epoch: float
) -> tuple[Phase, ...]:
    """Returns the phases of a config, whose epochs have `per_epoch` steps."""
    second = config["unfreeze"]
    steps, border = round(config["epochs"] * per_epoch), round(second["after_epochs"] * per_epoch)
    rate = config["optimizer"]["learning_rate"]
    plan = [(0, steps, config["freeze"], rate)]
    if second["after_epochs"]:
        if not 0 < border < steps:
            raise InputError(
                f"unfreeze.after_epochs={second['after_epochs']:g} leaves a phase of the "
                f"{config['epochs']:g} epochs without a step"
            )
        plan = [
            (0, border, config["freeze"], rate),
            (border, steps, second["keep"], second["learning_rate"]),
        ]
    factor = rates.factors(config["optimizer"], module, shape)
    return tuple(
        phase(config, factor, per_epoch, number, *given) for number, given in enumerate(plan)
    )


def phase(
    config: Mapping[str, Any],
    factor: Callable[[str], float] | None,
    per_epoch: float,
    number: int,
    start: int,
    until: int,
    freeze: str,
    learning_rate: float,
) -> Phase:
    section, schedule = config["optimizer"], dict(config["schedule"])
    warmup, steps = schedule.pop("warmup_epochs") * per_epoch, until - start
    if steps and round(warmup) > steps:
        print(
            f"schedule.warmup_epochs={config['schedule']['warmup_epochs']:g} is longer than the "
            f"run of {steps / per_epoch:g} epochs: the learning rate grows until its end."
        )
        warmup = steps
    whole = optim.schedule(steps=steps, warmup_steps=warmup, **schedule)
    share = whole if start == 0 else lambda step: whole(step - start)

    def optimizer(hyper: Mapping[str, Any], step: Any) -> optax.GradientTransformation:
        return optim.optimizer(
            section["name"],
            hyper["learning_rate"] * share(step),
            hyper.get("weight_decay", 0.0),
            section["decay"],
            section["clip_norm"],
            factor,
            **configuration.extra(config, "optimizer"),
        )

    return Phase(number, start, until, freeze, learning_rate, share, optimizer)


def check(config: Mapping[str, Any], module: nn.Module) -> None:
    """Raises InputError for patterns that do not fit the network; without images."""
    second, pairs = config["unfreeze"], config["optimizer"]["rates"]
    if second["keep"] and not second["after_epochs"]:
        raise InputError("unfreeze.keep needs a second phase: set unfreeze.after_epochs")
    if second["after_epochs"] and second["after_epochs"] >= config["epochs"]:
        raise InputError(
            f"unfreeze.after_epochs={second['after_epochs']:g} must be less than the "
            f"{config['epochs']:g} epochs of the run"
        )
    if not (config["freeze"] or second["keep"] or pairs):
        return
    side = models.LARGE  # names do not depend on the size of images
    params = models.variable_shapes(module, (side, side, 3))["params"]
    partition.check("freeze", config["freeze"], params)
    partition.check("unfreeze.keep", second["keep"], params)
    rates.check(pairs, params)


def begun(
    phase: Phase, state: TrainState, hyper: Mapping[str, Any], mapper: parallel.Mapper
) -> TrainState:
    """Returns the state with the phase's optimiser before its first step."""
    trained = jax.device_get(partition.split(state.params, phase.freeze)[0])
    start = compiler.jit(phase.optimizer(hyper, phase.start).init)
    opt_state = mapper.replicate(start(trained))
    return state.replace(opt_state=opt_state)  # pyright: ignore[reportAttributeAccessIssue]
