"""A config, checked, with everything built from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from cnnjax import augment, compiler, data, images, models, parallel, tasks
from cnnjax import config as configuration
from cnnjax.errors import InputError
from cnnjax.evaluation.evaluate import evaluator
from cnnjax.evaluation.trained import build_module, preprocessing
from cnnjax.train import early, optim, phases, programs
from cnnjax.train.phases import Phase
from cnnjax.train.step import AUGMENT


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """A config with everything built from it.

    `programs` are its own, or those of all runs that differ in values alone. `phase`, of all
    `phases`, is the one at hand; `steps` are those of the whole run.
    """

    config: Mapping[str, Any]
    dataset: data.Dataset
    mapper: parallel.Mapper
    task: tasks.Task
    module: nn.Module
    augment: augment.Pipeline
    preprocessing: images.Preprocessing
    phase: Phase
    phases: tuple[Phase, ...]
    hyper: dict[str, float]
    steps: int
    evaluate: Callable[[Mapping[str, Any], data.Split], dict[str, float]]
    programs: dict[Any, Any]

    @property
    def preprocess(self) -> Callable[[jax.Array], jax.Array]:
        """From pixels in [0, 255] to the module's input."""
        return partial(images.normalized, record=self.preprocessing)

    @property
    def optimizer(self) -> Callable[[Mapping[str, Any], Any], optax.GradientTransformation]:
        return self.phase.optimizer

    @property
    def share(self) -> Callable[[Any], Any]:
        return self.phase.share

    def entered(self, phase: Phase) -> Experiment:
        """Returns the experiment in one of its phases."""
        hyper = self.hyper | {"learning_rate": phase.learning_rate}
        return dataclasses.replace(self, phase=phase, hyper=hyper)

    def steps_of(self, epochs: float) -> float:
        """Returns epochs in steps, fractions included; 0 epochs stand for the whole run."""
        per_epoch = len(self.dataset.train) / self.config["batch_size"]
        return epochs * per_epoch or self.steps

    def epoch(self, step: int) -> float:
        return step * self.config["batch_size"] / len(self.dataset.train)


def check_parts(config: Mapping[str, Any]) -> parallel.Mapper:
    """Checks every name and field that can be checked without data; returns the mapper."""
    check_task(config)
    module = build_module(config, outputs=2)
    phases.check(config, module)
    data.check(config["data"]["name"], **configuration.extra(config, "data"))
    optim.check(config["optimizer"]["name"], **configuration.extra(config, "optimizer"))
    if config["evaluate"]["select"] == "best" and not config["data"]["validation"]:
        raise InputError("evaluate.select=best needs a validation split: set data.validation")
    early.check(config)
    if config["report"]["pictures"] and not config["report"]["tensorboard"]:
        raise InputError("report.pictures go into event files: set report.tensorboard=True")
    mapper = parallel.mapper(config["parallel"]["mapper"], config["parallel"]["devices"])
    per_device = config["batch_size"] // mapper.devices
    if augment.pipeline(config["augment"]).mixes and per_device % 2:
        raise InputError(
            f"{config['augment']!r} mixes pairs of examples, and {per_device} per device is odd: "
            "give another batch_size"
        )
    if config["deterministic"] and not compiler.is_deterministic(mapper.platform):
        raise InputError(
            "deterministic=True must be known before JAX uses a device: start the run by "
            "experiments.train, or call cnnjax.compiler.be_deterministic() first"
        )
    mapper.check_batch("batch_size", config["batch_size"])
    pieces = config["optimizer"]["accumulate"]
    if per_device % pieces:
        raise InputError(f"{per_device} examples per device do not divide into {pieces} pieces")
    return mapper


def check_task(config: Mapping[str, Any]) -> None:
    """Refuses what has no meaning for the config's task."""
    name = tasks.name_of(config)
    task = tasks.TASKS[name]
    kind = augment.pipeline(config["augment"]).mixes
    if kind and kind not in task.mixes:
        raise InputError(
            f"{kind} makes one image of two, which has no meaning for the task {name}: take it out "
            "of config.augment"
        )
    for value in ("label_smoothing", "dice"):
        if config[value] and value not in task.values:
            raise InputError(f"{value} has no meaning for the task {name}: give 0")


def prepare(
    config: Mapping[str, Any],
    dataset: data.Dataset,
    mapper: parallel.Mapper,
    record: images.Preprocessing | None = None,
) -> Experiment:
    """Returns the Experiment; raises InputError where network, data and patterns do not fit.

    `record` takes the place of what the config says of preprocessing.
    """
    task = tasks.TASKS[tasks.name_of(config)]
    module = build_module(config, task.outputs(dataset.facts))
    models.check_input(module, dataset.shape)
    section, per_epoch = config["optimizer"], len(dataset.train) / config["batch_size"]
    steps = round(config["epochs"] * per_epoch)
    if config["epochs"] and not steps:
        raise InputError(
            f"{config['epochs']:g} epochs of {len(dataset.train)} examples are less than one step "
            f"of batch_size {config['batch_size']}"
        )
    planned = phases.of(config, module, dataset.shape, per_epoch)
    hyper = {
        "learning_rate": section["learning_rate"],
        **{name: config[name] for name in task.values},
        **rates(module),
    }
    pipeline = augment.pipeline(config["augment"], dataset.shape)
    hyper |= {AUGMENT + name: value for name, value in pipeline.values.items()}
    if section["weight_decay"]:
        hyper["weight_decay"] = section["weight_decay"]
        params = jax.eval_shape(
            lambda: module.init(jax.random.key(0), jnp.zeros((1, *dataset.shape)), train=False)
        )["params"]
        optim.check_pattern(params, section["decay"])

    record = record or preprocessing(config, dataset.shape, dataset.mean, dataset.std)
    preprocess = partial(images.normalized, record=record)
    kept = programs.of(config, dataset, mapper, hyper)
    evaluate = programs.once(
        kept,
        "evaluate",
        lambda: evaluator(task, module, preprocess, mapper, config["evaluate"]["batch_size"]),
    )
    return Experiment(
        config, dataset, mapper, task, module, pipeline, record, planned[0], planned, hyper,
        steps, evaluate, kept,
    )  # fmt: skip


def rates(module: nn.Module) -> dict[str, float]:
    """Returns the module's dropout rates; zeros stay out, where they cost nothing."""
    names = [name for name in vars(module) if name.endswith("dropout_rate")]
    return {name: getattr(module, name) for name in names if getattr(module, name)}
