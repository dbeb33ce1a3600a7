"""Flax alone, in the style of its own examples: a TrainState and one jitted step.

In its favour: initialisation is jitted, batches lie on the device as floats, cut and normalised
beforehand, and nothing is written or read between steps. The step counts loss and accuracy, as the
examples do. The pipeline alone is the gathering of an epoch's batches by a random permutation.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax.training import train_state

from experiments.benchmarks import on_jax
from experiments.benchmarks.arrays import Arrays, normalised
from experiments.benchmarks.flax_networks import NETWORKS
from experiments.benchmarks.on_jax import facts, product
from experiments.benchmarks.prepared import Prepared
from experiments.benchmarks.works import Work

__all__ = ["facts", "prepare", "product"]


class TrainState(train_state.TrainState):
    batch_stats: Any
    key: jax.Array


@jax.jit
def train_step(state: TrainState, images: jax.Array, labels: jax.Array):
    def loss_of(params):
        logits, updates = state.apply_fn(
            {"params": params, "batch_stats": state.batch_stats},
            images,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.fold_in(state.key, state.step)},
        )
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, (logits, updates)

    gradient = jax.value_and_grad(loss_of, has_aux=True)
    (loss, (logits, updates)), gradients = gradient(state.params)
    state = state.apply_gradients(grads=gradients)
    state = state.replace(batch_stats=updates.get("batch_stats", {}))
    return state, {"loss": loss, "accuracy": jnp.mean(logits.argmax(-1) == labels)}


@jax.jit
def logits_of(state: TrainState, images: jax.Array) -> jax.Array:
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    return state.apply_fn(variables, images, train=False)


def prepare(work: Work, arrays: Arrays, precision: str, seed: int = 0) -> Prepared:
    network = NETWORKS[work.network](jnp.dtype(precision))
    state = create_state(work, network, jax.random.key(seed))
    images, test_images = map(jnp.asarray, normalised(arrays))
    labels, test_labels = jnp.asarray(arrays.labels), jnp.asarray(arrays.test_labels)
    starts = range(0, len(labels) // work.batch * work.batch, work.batch)
    batches = [(images[s : s + work.batch], labels[s : s + work.batch]) for s in starts]
    turns, order = itertools.cycle(batches), jax.random.key(seed + 1)

    def train(steps: int) -> float:
        nonlocal state
        metrics = {}
        for x, y in itertools.islice(turns, steps):
            state, metrics = train_step(state, x, y)
        return float(metrics["loss"])

    def forward(steps: int) -> None:
        found = [logits_of(state, x) for x, _ in itertools.islice(turns, steps)]
        jax.block_until_ready(found)

    def shuffled():
        nonlocal order
        order, key = jax.random.split(order)
        for rows in jax.random.permutation(key, len(labels))[: len(starts) * work.batch].reshape(
            len(starts), work.batch
        ):
            yield images[rows], labels[rows]

    def pipeline(steps: int) -> None:
        while steps > 0:
            for batch in itertools.islice(shuffled(), steps):
                jax.block_until_ready(batch)
            steps -= len(starts)

    def epoch() -> float:
        nonlocal state
        for x, y in shuffled():
            state, _ = train_step(state, x, y)
        return float(jnp.mean(logits_of(state, test_images).argmax(-1) == test_labels))

    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    return Prepared(count, train, forward, pipeline, epoch, on_jax.device_memory)


def create_state(work: Work, network: Any, key: jax.Array) -> TrainState:
    optimizer = optax.adam(work.learning_rate)
    if work.optimizer == "momentum":
        sgd = optax.sgd(work.learning_rate, momentum=0.9)
        optimizer = optax.chain(optax.add_decayed_weights(1e-4), sgd)
    init_key, dropout_key = jax.random.split(key)
    init = jax.jit(partial(network.init, train=False))
    variables = init(init_key, jnp.zeros((1, *work.shape)))
    return TrainState.create(
        apply_fn=network.apply,
        params=variables["params"],
        tx=optimizer,
        batch_stats=variables.get("batch_stats", {}),
        key=dropout_key,
    )
