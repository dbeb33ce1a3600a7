"""Keras 3 on JAX: compile, fit and predict, as its users call them.

In its favour: steps are taken by `fit` on arrays in memory, whose cost beside the steps is shared
by a turn, and which is faster than `train_on_batch`; images are floats, normalised beforehand; no
metric but the loss is computed. The pipeline alone is what `fit` draws its batches from.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np

from experiments.benchmarks import on_jax
from experiments.benchmarks.arrays import Arrays, normalised
from experiments.benchmarks.keras_networks import NETWORKS
from experiments.benchmarks.on_jax import facts, product
from experiments.benchmarks.prepared import Prepared
from experiments.benchmarks.works import Work

__all__ = ["facts", "prepare", "product"]


def prepare(work: Work, arrays: Arrays, precision: str, seed: int = 0) -> Prepared:
    keras.utils.set_random_seed(seed)
    with computing_in(precision):
        model = NETWORKS[work.network](work.shape)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer_of(work), loss)
    images, test_images = normalised(arrays)
    labels, size = arrays.labels, work.batch

    def train(steps: int) -> float:
        history: Any = None
        while steps > 0:
            count = min(steps, len(labels) // size) * size
            history = model.fit(
                images[:count], labels[:count], batch_size=size, shuffle=False, verbose=0
            )
            steps -= count // size
        return float(history.history["loss"][-1])

    def forward(steps: int) -> None:
        while steps > 0:
            count = min(steps, len(labels) // size) * size
            model.predict(images[:count], batch_size=size, verbose=0)
            steps -= count // size

    def pipeline(steps: int) -> None:
        while steps > 0:
            count = min(steps, len(labels) // size) * size
            for batch in batches_of_fit(images[:count], labels[:count], size):
                jax.block_until_ready(batch)
            steps -= count // size

    def epoch() -> float:
        model.fit(images, labels, batch_size=size, verbose=0)
        found = model.predict(test_images, batch_size=1000, verbose=0)
        return float(np.mean(found.argmax(1) == arrays.test_labels))

    count = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    return Prepared(count, train, forward, pipeline, epoch, on_jax.device_memory)


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Has layers made inside compute in `precision`; Keras keeps that in a global."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def batches_of_fit(images: np.ndarray, labels: np.ndarray, size: int) -> Any:
    """Yields what `fit` trains on; Keras has no public name for it."""
    from keras.src.backend.jax.trainer import JAXEpochIterator

    iterator = JAXEpochIterator(x=images, y=labels, batch_size=size, shuffle=True)
    for step in iterator:
        yield next(step[-1])


def optimizer_of(work: Work) -> Any:
    if work.optimizer == "adam":
        return keras.optimizers.Adam(work.learning_rate)
    return keras.optimizers.SGD(work.learning_rate, momentum=0.9, weight_decay=1e-4)
