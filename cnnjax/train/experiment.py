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
from cnnjax.train import optim, partition, programs
from cnnjax.train.step import AUGMENT


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """A config with everything built from it.

    `programs` are its own, or those of all runs that differ in values alone.
    """

    config: Mapping[str, Any]
    dataset: data.Dataset
    mapper: parallel.Mapper
    task: tasks.Task
    module: nn.Module
    augment: augment.Pipeline
    preprocess: Callable[[jax.Array], jax.Array]
    optimizer: Callable[[Mapping[str, Any], Any], optax.GradientTransformation]
    share: Callable[[jax.Array], jax.Array]
    hyper: dict[str, float]
    steps: int
    evaluate: Callable[[Mapping[str, Any], data.Split], dict[str, float]]
    programs: dict[Any, Any]

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
    if config["freeze"]:
        # Names do not depend on the size of images.
        side = models.LARGE
        partition.check(
            "freeze", config["freeze"], models.variable_shapes(module, (side, side, 3))["params"]
        )
    data.check(config["data"]["name"], **configuration.extra(config, "data"))
    optim.check(config["optimizer"]["name"], **configuration.extra(config, "optimizer"))
    if config["evaluate"]["select"] == "best" and not config["data"]["validation"]:
        raise InputError("evaluate.select=best needs a validation split: set data.validation")
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
    if config["label_smoothing"] and "label_smoothing" not in task.values:
        raise InputError(f"label_smoothing has no meaning for the task {name}: give 0")


def prepare(
    config: Mapping[str, Any], dataset: data.Dataset, mapper: parallel.Mapper
) -> Experiment:
    """Returns the Experiment; raises InputError where network, data and patterns do not fit."""
    task = tasks.TASKS[tasks.name_of(config)]
    module = build_module(config, task.outputs(dataset.facts))
    models.check_input(module, dataset.shape)
    section, schedule = config["optimizer"], dict(config["schedule"])
    steps = round(config["epochs"] * len(dataset.train) / config["batch_size"])
    if config["epochs"] and not steps:
        raise InputError(
            f"{config['epochs']:g} epochs of {len(dataset.train)} examples are less than one step "
            f"of batch_size {config['batch_size']}"
        )
    warmup = schedule.pop("warmup_epochs") * len(dataset.train) / config["batch_size"]
    if steps and round(warmup) > steps:
        print(
            f"schedule.warmup_epochs={config['schedule']['warmup_epochs']:g} is longer than the "
            f"run of {config['epochs']:g} epochs: the learning rate grows until its end."
        )
        warmup = steps
    share = optim.schedule(steps=steps, warmup_steps=warmup, **schedule)
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

    def optimizer(hyper: Mapping[str, Any], step: Any) -> optax.GradientTransformation:
        return optim.optimizer(
            section["name"],
            hyper["learning_rate"] * share(step),
            hyper.get("weight_decay", 0.0),
            section["decay"],
            section["clip_norm"],
            **configuration.extra(config, "optimizer"),
        )

    record = preprocessing(config, dataset.shape, dataset.mean, dataset.std)
    preprocess = partial(images.normalized, record=record)
    kept = programs.of(config, dataset, mapper, hyper)
    evaluate = programs.once(
        kept,
        "evaluate",
        lambda: evaluator(task, module, preprocess, mapper, config["evaluate"]["batch_size"]),
    )
    return Experiment(
        config, dataset, mapper, task, module, pipeline, preprocess, optimizer, share, hyper,
        steps, evaluate, kept,
    )  # fmt: skip


def rates(module: nn.Module) -> dict[str, float]:
    """Returns the module's dropout rates; zeros stay out, where they cost nothing."""
    names = [name for name in vars(module) if name.endswith("dropout_rate")]
    return {name: getattr(module, name) for name in names if getattr(module, name)}
