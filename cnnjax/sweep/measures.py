"""What a study measures of finished runs, beside the accuracy that they end with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnnjax import compiler
from cnnjax import config as configuration
from cnnjax.data import IMAGE, Split
from cnnjax.evaluation import trained
from cnnjax.structure import layers
from cnnjax.sweep import worker
from cnnjax.train import course, programs
from cnnjax.train.experiment import Experiment, check_parts, prepare
from cnnjax.workdir import files

DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))
BATCH = 500  # images that a gradient is of


def test_accuracy(workdir: Path) -> float:
    """Returns the share of the test images that a finished run got right."""
    return files.read_json(workdir / files.RESULT)["test_accuracy"]


def parameters(workdir: Path) -> float:
    """Returns how many numbers the network of a run learns."""
    return files.read_json(workdir / files.RESULT)["params"]


def overfitting(workdir: Path) -> float:
    """Returns by how much the accuracy on the images of training is above that on test images."""
    experiment = experiment_of(workdir)
    return accuracies(workdir, experiment)(experiment.dataset.train) - test_accuracy(workdir)


def shifted(*pixels: int) -> Callable[[Path], dict[float, float]]:
    """Returns a measure of the test accuracy where all images are shifted, for each distance.

    It is the mean over four directions; what comes in from outside is black.
    """

    def measure(workdir: Path) -> dict[float, float]:
        experiment = experiment_of(workdir)
        accuracy, test = accuracies(workdir, experiment), experiment.dataset.test

        def moved(distance: int) -> float:
            each = [Split(shift(test.images, distance * y, distance * x), test.targets)
                    for y, x in DIRECTIONS]  # fmt: skip
            return float(np.mean([accuracy(split) for split in each]))

        return {d: moved(d) if d else accuracy(test) for d in pixels}

    return measure


def shift(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Returns images (n, height, width, channels), moved by whole pixels, with black behind."""
    moved = np.zeros_like(images)
    height, width = images.shape[1:3]
    into = slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0))
    out = slice(max(-down, 0), height - max(down, 0)), slice(max(-right, 0), width - max(right, 0))
    moved[:, *into] = images[:, *out]
    return moved


@functools.cache
def gradient_norms(workdir: Path) -> dict[float, float]:
    """Returns the norm of the gradient of each layer's weights before the first step.

    Of the loss of the first 500 images of training; layers are numbered from 1, in their order.
    """
    experiment = experiment_of(workdir)
    batch = experiment.dataset.train.take(slice(0, BATCH)).arrays
    gradient = programs.once(
        experiment.programs,
        "gradient",
        lambda: compiler.jit(jax.grad(loss_of(experiment)), experiment.mapper.platform),
    )
    gradients = gradient(course.initial(experiment).params, batch)
    traced = layers.trace(experiment.module, experiment.dataset.shape).layers
    names = dict.fromkeys(layer.name for layer in traced if layer.trainable)
    kernels = [within(gradients, name)["kernel"] for name in names]
    return {float(i): float(np.linalg.norm(g)) for i, g in enumerate(kernels, 1)}


def loss_of(experiment: Experiment) -> Callable[[Any, Mapping[str, Any]], jax.Array]:
    """Returns the mean loss of a batch as a function of the weights and the batch."""

    def loss(params: Any, batch: Mapping[str, Any]) -> jax.Array:
        targets = {name: x for name, x in batch.items() if name != IMAGE}
        pixels = experiment.preprocess(batch[IMAGE])
        outputs: Any = experiment.module.apply({"params": params}, pixels, train=False)
        return experiment.task.loss(outputs, targets).mean()

    return loss


def within(tree: Any, name: str) -> Any:
    """Returns the part of a tree of dicts that "stage1/conv" names."""
    for part in name.split("/"):
        tree = tree[part]
    return tree


def first_over_last(workdir: Path) -> float:
    """Returns the norm of the first layer's gradient over that of the last, before training."""
    norms = list(gradient_norms(workdir).values())
    return norms[0] / norms[-1]


def experiment_of(workdir: Path) -> Experiment:
    """Returns what a run was: its config, with everything built from it."""
    config = configuration.check(files.read_json(workdir / files.CONFIG))
    return prepare(config, worker.data_of(config), check_parts(config))


def accuracies(workdir: Path, experiment: Experiment) -> Callable[[Split], float]:
    """Returns what measures the accuracy of a finished run's network on a split."""
    variables = experiment.mapper.replicate(trained.load(workdir).variables)
    return lambda split: experiment.evaluate(variables, split)["accuracy"]
