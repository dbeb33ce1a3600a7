"""One step of training: a pure function of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import lax

from cnnjax.augment import Pipeline, Targets, pipeline, unmixed
from cnnjax.evaluation.loss import cross_entropy, sums
from cnnjax.kernels import square_sum
from cnnjax.parallel import mean, total, vary
from cnnjax.train.finite import accept
from cnnjax.train.state import TrainState, no_totals, none_skipped

Hyperparameters = Mapping[str, jax.Array]
# Szegedy et al. 2015 (arXiv 1409.4842), section 5: the losses of auxiliary classifiers weigh 0.3.
AUXILIARY_WEIGHT = 0.3
# Before the names of the strengths of an augmentation among the hyperparameters.
AUGMENT = "augment."
# Folded into the step's key; dropout takes the small numbers.
AUGMENT_KEY = 2**32 - 1
NOTHING = pipeline("")


def create_state(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    shape: tuple[int, int, int],
) -> TrainState:
    """Returns the state before the first step for images of `shape` (height, width, channels)."""
    init_key, run_key = jax.random.split(key)
    variables = module.init(init_key, jnp.zeros((1, *shape)), train=False)
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(params),
        key=run_key,
        totals=no_totals(),
        skipped=none_skipped(),
    )


def train_step(
    state: TrainState,
    batch: Mapping[str, jax.Array],
    hyper: Hyperparameters,
    *,
    module: nn.Module,
    augment: Pipeline = NOTHING,
    preprocess: Callable[[jax.Array], jax.Array],
    optimizer: Callable[[Hyperparameters, jax.Array], optax.GradientTransformation],
    axis_name: str,
    accumulate: int = 1,
    patience: int = 1,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Returns the next state and this step's metrics as sums with their count.

    Args:
      state: replicated over `axis_name`.
      batch: this device's part: `image` (batch, height, width, channels) uint8, `label` (batch,).
      hyper: scalars that a sweep may vary without compiling again: `learning_rate`,
        `weight_decay`, `label_smoothing`, any rate field of the module, and the strengths of the
        augmentation, as "augment.rotate.degrees".
      module: gives the logits. Those of auxiliary classifiers it sows into the collection
        `auxiliary`, except while it is initialised.
      augment: changes each example at random; by its place in the batch, whatever the devices.
      preprocess: from pixels to the module's input.
      optimizer: from the hyperparameters and the step to the optimiser of this step.
      accumulate: pieces that the batch is computed in, one after the other. Their gradients are
        averaged; BatchNorm normalises each piece by itself.
      patience: steps in a row that may be skipped because loss or gradient is not finite.
    """
    rates: dict[str, Any] = {name: hyper[name] for name in hyper if hasattr(module, name)}
    module = module.clone(axis_name=axis_name, **rates)
    key = jax.random.fold_in(state.key, state.step)
    images, targets = examples(batch, key, hyper, augment, axis_name)
    against = mixed_cross_entropy if augment.mixes else plain_cross_entropy

    def loss(params, batch_stats, images, targets, key):
        logits, updates = module.apply(
            {"params": params, "batch_stats": batch_stats},
            preprocess(images),
            train=True,
            mutable=["batch_stats", "auxiliary"],
            rngs={"dropout": key},
        )
        losses = against(logits, targets, hyper["label_smoothing"])
        value = losses.mean()
        for extra in jax.tree.leaves(updates.get("auxiliary", {})):
            value += AUXILIARY_WEIGHT * against(extra, targets, 0.0).mean()
        return value, (
            sums(logits, targets.main, losses, jnp.ones(len(losses))),
            updates.get("batch_stats", {}),
        )

    def piece(batch_stats, images, targets, number):
        (_, (metrics, batch_stats)), gradients = jax.value_and_grad(loss, has_aux=True)(
            params, batch_stats, images, targets, jax.random.fold_in(key, number[0])
        )
        return batch_stats, gradients, metrics

    def next_piece(carry, part):
        batch_stats, *so_far = carry
        batch_stats, *new = piece(batch_stats, *part)
        return (batch_stats, *jax.tree.map(jnp.add, so_far, new)), None

    params, batch_stats = vary((state.params, state.batch_stats), axis_name)
    whole = images, targets, jnp.arange(accumulate)
    parts = jax.tree.map(lambda x: x.reshape(accumulate, -1, *x.shape[1:]), whole)
    carry = piece(batch_stats, *jax.tree.map(lambda x: x[0], parts))
    if accumulate > 1:
        # A convolution inside a loop is slow on XLA:CPU, so there the pieces are unrolled.
        unroll = jax.default_backend() == "cpu"
        rest = jax.tree.map(lambda x: x[1:], parts)
        carry, _ = lax.scan(next_piece, carry, rest, unroll=unroll)
    batch_stats, gradients, metrics = carry
    gradients = jax.tree.map(lambda g: g / accumulate, mean(gradients, axis_name))
    # The layers average what they store over the axis; this only says so to shard_map's checker.
    batch_stats = mean(batch_stats, axis_name)
    updates, opt_state = optimizer(hyper, state.step).update(
        gradients, state.opt_state, state.params
    )
    metrics = total(metrics, axis_name)
    norm = jnp.sqrt(sum(map(square_sum, jax.tree.leaves(gradients))))
    taken = TrainState(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
        key=state.key,
        totals=jax.tree.map(jnp.add, state.totals, metrics),
        skipped=state.skipped,
    )
    finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(norm)
    return accept(state, taken, finite, patience), metrics | {"gradient_norm": norm}


def examples(
    batch: Mapping[str, jax.Array],
    key: jax.Array,
    hyper: Hyperparameters,
    augment: Pipeline,
    axis_name: str,
) -> tuple[jax.Array, Targets]:
    """Returns the images of a batch, augmented, and what they show."""
    images, labels = batch["image"], batch["label"]
    if not augment.terms:
        return images, unmixed(labels)
    values = {k.removeprefix(AUGMENT): v for k, v in hyper.items() if k.startswith(AUGMENT)}
    first = lax.axis_index(axis_name) * len(images)
    return augment(jax.random.fold_in(key, AUGMENT_KEY), images, labels, values, first)


def plain_cross_entropy(
    logits: jax.Array, targets: Targets, smoothing: float | jax.Array
) -> jax.Array:
    return cross_entropy(logits, targets.labels, smoothing)


def mixed_cross_entropy(
    logits: jax.Array, targets: Targets, smoothing: float | jax.Array
) -> jax.Array:
    """Returns the cross entropy against both labels, each by its share, (batch,)."""
    own, other = (cross_entropy(logits, t, smoothing) for t in (targets.labels, targets.others))
    return targets.share * own + (1 - targets.share) * other
