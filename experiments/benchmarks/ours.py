"""This project, by its own path: what a config builds, in the step and manner of the loop.

The loop's own feed brings the batches as uint8 pixels; the step normalises and counts. Inference is
the exact evaluation of a split, loss and accuracy included. All this is in nobody else's times.
"""

from __future__ import annotations

import collections
import importlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax import config as configuration
from cnnjax import data, draws, models
from cnnjax.data.dataset import statistics
from cnnjax.train import experiment as experiments_of
from cnnjax.train import feed, loop
from cnnjax.train.step import create_state
from experiments.benchmarks import on_jax
from experiments.benchmarks.arrays import Arrays
from experiments.benchmarks.on_jax import facts, product
from experiments.benchmarks.prepared import Prepared
from experiments.benchmarks.works import AUGMENT, OF_COLOURS, Work

__all__ = ["facts", "prepare", "product"]


def prepare(
    work: Work, arrays: Arrays, precision: str, seed: int = 0, augmented: bool = False
) -> Prepared:
    config = config_of(work, precision, seed)
    if augmented:
        config.augment = (OF_COLOURS if work.shape[-1] == 3 else "") + AUGMENT
    config = configuration.check(config)
    mapper = experiments_of.check_parts(config)
    dataset = dataset_of(work, arrays)
    experiment = experiments_of.prepare(config, dataset, mapper)
    optimizer = experiment.optimizer(experiment.hyper, 0)
    create = partial(
        create_state, experiment.module, optimizer, task=experiment.task, facts=dataset.facts
    )
    state = mapper.replicate(draws.program(create)(jax.random.key(seed)))
    hyper = mapper.replicate({k: jnp.float32(v) for k, v in experiment.hyper.items()})
    supply = feed.feed(config, dataset.train, mapper)
    advance = {
        count: loop.compiled_steps(experiment, supply, state, hyper, count)
        for count in {1, supply.steps}
    }
    step, size = 0, work.batch
    in_flight = loop.IN_FLIGHT.get(mapper.platform, 16)

    def train(steps: int) -> float:
        nonlocal state, step
        queue, metrics, end = collections.deque(), {}, step + steps
        while step < end:
            count = supply.steps if step + supply.steps <= end else 1
            batches = supply.batches(step, count)
            state, metrics = advance[count](state, batches, hyper, *supply.resident)
            step += count
            loop.wait(queue, metrics["loss"], in_flight)
        loss, count = jax.device_get((metrics["loss"], metrics["count"]))
        return float(loss / count)

    def forward(steps: int) -> None:
        while steps > 0:
            count = min(steps * size, len(dataset.test))
            experiment.evaluate(state.variables, dataset.test.take(slice(count)))
            steps -= count // size

    def pipeline(steps: int) -> None:
        for number in range(steps):
            jax.block_until_ready(jax.device_put(supply.batches(number, 1)))

    def epoch() -> float:
        train(round(len(dataset.train) / size))
        return experiment.evaluate(state.variables, dataset.test)["accuracy"]

    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    return Prepared(count, train, forward, pipeline, epoch, on_jax.device_memory)


def config_of(work: Work, precision: str, seed: int = 0) -> Any:
    """Returns the config of the work's network with the batch and optimiser that all share."""
    file, _, variant = work.config.partition(":")
    config = importlib.import_module(f"configs.{file}").get_config(variant)
    defaults: Any = configuration.default()
    if work.dialect:
        config.model.update(models.DIALECTS[variant][work.dialect])
    config.seed, config.batch_size, config.evaluate.batch_size = seed, work.batch, work.batch
    config.model.dtype, config.label_smoothing = precision, defaults.label_smoothing
    config.data.normalize = "standard"
    config.optimizer, config.schedule = defaults.optimizer, defaults.schedule
    config.optimizer.name, config.optimizer.learning_rate = work.optimizer, work.learning_rate
    config.optimizer.weight_decay = 1e-4 if work.optimizer == "momentum" else 0.0
    return config


def dataset_of(work: Work, arrays: Arrays) -> data.Dataset:
    train = data.Split(arrays.images, {"label": arrays.labels})
    test = data.Split(arrays.test_images, {"label": arrays.test_labels})
    names = tuple(map(str, range(work.classes)))
    return data.Dataset(
        work.name, train, train.take(slice(0)), test, names, *statistics(arrays.images)
    )
