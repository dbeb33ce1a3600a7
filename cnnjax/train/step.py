"""One step of training: a pure function of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import lax

from cnnjax import tasks
from cnnjax.augment import Moves, Pipeline, Targets, pipeline, unmixed
from cnnjax.data import IMAGE, Facts
from cnnjax.kernels import square_sum
from cnnjax.parallel import mean, total, vary
from cnnjax.train import partition
from cnnjax.train.finite import accept
from cnnjax.train.state import TrainState, averaged, none_skipped

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
    task: tasks.Task,
    facts: Facts,
    freeze: str = "",
    ema: float = 0.0,
) -> TrainState:
    """Returns the state before the first step, for examples of such `facts`."""
    init_key, run_key = jax.random.split(key)
    images = jnp.zeros((1, *facts.shape))
    outputs, variables = module.init_with_output(init_key, images, train=False)
    params = variables["params"]
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(partition.split(params, freeze)[0]),
        key=run_key,
        totals=no_totals(task, outputs, facts),
        skipped=none_skipped(),
    )
    return state.replace(average=state.trained) if ema else state  # pyright: ignore


def no_totals(task: tasks.Task, outputs: Any, facts: Facts) -> dict[str, jax.Array]:
    """Returns zeros where `tasks.sums` of such outputs are to be added."""
    # One stands for a length that may be any: no sum over examples has it.
    targets = {
        name: jax.ShapeDtypeStruct((1, *(n or 1 for n in target.shape)), target.dtype)
        for name, target in task.targets(facts).items()
    }
    one = jnp.ones(1)
    shapes = jax.eval_shape(partial(tasks.sums, task), outputs, targets, one, one)
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)


def train_step(
    state: TrainState,
    batch: Mapping[str, jax.Array],
    hyper: Hyperparameters,
    *,
    task: tasks.Task,
    module: nn.Module,
    augment: Pipeline = NOTHING,
    preprocess: Callable[[jax.Array], jax.Array],
    optimizer: Callable[[Hyperparameters, jax.Array], optax.GradientTransformation],
    axis_name: str,
    accumulate: int = 1,
    patience: int = 1,
    freeze: str = "",
    ema: float = 0.0,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Returns the next state and this step's metrics as sums with their count.

    Args:
      state: replicated over `axis_name`.
      batch: this device's part: `image` (batch, height, width, channels) uint8, and the targets.
      hyper: scalars that a sweep may vary without compiling again: `learning_rate`,
        `weight_decay`, the values that the task's loss takes, any rate field of the module, and the
        strengths of the augmentation, as "augment.rotate.degrees".
      task: what is minimised, and what is counted.
      module: gives the outputs. Those of auxiliary heads it sows into the collection `auxiliary`,
        except while it is initialised.
      augment: changes each example at random; by its place in the batch, whatever the devices.
      preprocess: from pixels to the module's input.
      optimizer: from the hyperparameters and the step to the optimiser of this step.
      accumulate: pieces that the batch is computed in, one after the other. Their gradients are
        averaged; BatchNorm normalises each piece by itself.
      patience: steps in a row that may be skipped because loss or gradient is not finite.
      freeze: pattern of the layers that stay as they are, see `partition`.
      ema: share of the state's `average` that this step keeps; 0 for none.
    """
    rates: dict[str, Any] = {name: hyper[name] for name in hyper if hasattr(module, name)}
    module = module.clone(axis_name=axis_name, **rates)
    key = jax.random.fold_in(state.key, state.step)
    images, targets = examples(batch, key, hyper, augment, task.moves, axis_name)
    values = {name: hyper[name] for name in task.values}

    def against(outputs, targets, **values):
        own = task.loss(outputs, targets.own, **values)
        if not augment.mixes:
            return own
        other = task.loss(outputs, targets.others, **values)
        return targets.share * own + (1 - targets.share) * other

    def loss(trained, batch_stats, images, targets, key):
        with partition.inference(freeze):
            outputs, updates = module.apply(
                {"params": partition.joined(trained, frozen), "batch_stats": batch_stats},
                preprocess(images),
                train=True,
                mutable=["batch_stats", "auxiliary"],
                rngs={"dropout": key},
            )
        losses = against(outputs, targets, **values)
        value = losses.mean()
        for extra in jax.tree.leaves(updates.get("auxiliary", {})):
            value += AUXILIARY_WEIGHT * against(extra, targets).mean()
        return value, (
            tasks.sums(task, outputs, targets.main, losses, jnp.ones(len(losses))),
            updates.get("batch_stats", {}),
        )

    def piece(batch_stats, images, targets, number):
        (_, (metrics, batch_stats)), gradients = jax.value_and_grad(loss, has_aux=True)(
            trained, batch_stats, images, targets, jax.random.fold_in(key, number[0])
        )
        return batch_stats, gradients, metrics

    def next_piece(carry, part):
        batch_stats, *so_far = carry
        batch_stats, *new = piece(batch_stats, *part)
        return (batch_stats, *jax.tree.map(jnp.add, so_far, new)), None

    params, batch_stats = vary((state.params, state.batch_stats), axis_name)
    trained, frozen = partition.split(params, freeze)
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
    before, still = partition.split(state.params, freeze)
    updates, opt_state = optimizer(hyper, state.step).update(gradients, state.opt_state, before)
    metrics = total(metrics, axis_name)
    norm = jnp.sqrt(sum(map(square_sum, jax.tree.leaves(gradients))))
    taken = TrainState(
        step=state.step + 1,
        params=partition.joined(optax.apply_updates(before, updates), still),
        batch_stats=partition.replaced(batch_stats, state.batch_stats, freeze),
        opt_state=opt_state,
        key=state.key,
        totals=jax.tree.map(jnp.add, state.totals, metrics),
        skipped=state.skipped,
    )
    if ema:
        average = averaged(state.average, taken.trained, state.step, ema)
        taken = taken.replace(average=average)  # pyright: ignore[reportAttributeAccessIssue]
    finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(norm)
    return accept(state, taken, finite, patience), metrics | {"gradient_norm": norm}


def examples(
    batch: Mapping[str, jax.Array],
    key: jax.Array,
    hyper: Hyperparameters,
    augment: Pipeline,
    moves: Mapping[str, Moves],
    axis_name: str,
) -> tuple[jax.Array, Targets]:
    """Returns the images of a batch, augmented, and what they show."""
    images = batch[IMAGE]
    targets = {name: x for name, x in batch.items() if name != IMAGE}
    if not augment.terms:
        return images, unmixed(targets)
    values = {k.removeprefix(AUGMENT): v for k, v in hyper.items() if k.startswith(AUGMENT)}
    first = lax.axis_index(axis_name) * len(images)
    return augment(jax.random.fold_in(key, AUGMENT_KEY), images, targets, values, first, moves)
