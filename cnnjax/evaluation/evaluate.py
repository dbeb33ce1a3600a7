"""Exact evaluation: every example counts once, at any batch size and device count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax import lax

from cnnjax import tasks
from cnnjax.data import IMAGE, Split
from cnnjax.parallel import AXIS, Mapper

# What weighs an example of a padded batch: 1, or 0 for padding.
COUNTED = "counted"
Preprocess = Callable[[jax.Array], jax.Array]


def eval_step(
    variables: Mapping[str, Any],
    batch: Mapping[str, jax.Array],
    *,
    task: tasks.Task,
    module: nn.Module,
    preprocess: Preprocess,
    axis_name: str,
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """Returns loss, count and the task's measures summed over the whole mapped batch.

    And what the task gathers of each of its examples, with `counted`; nothing, if it does not.
    Examples whose `counted` is 0 pad the batch and add nothing.
    """
    targets = {name: x for name, x in batch.items() if name not in (IMAGE, COUNTED)}
    outputs: Any = module.apply(variables, preprocess(batch[IMAGE]), train=False)
    losses = task.loss(outputs, targets)
    sums = lax.psum(tasks.sums(task, outputs, targets, losses, batch[COUNTED]), axis_name)
    if task.gathers is None:
        return sums, {}
    kept = {**task.gathers.keep(outputs, targets), COUNTED: batch[COUNTED]}
    return sums, lax.all_gather(kept, axis_name, tiled=True)


def evaluator(
    task: tasks.Task,
    module: nn.Module,
    preprocess: Preprocess,
    mapper: Mapper,
    batch_size: int,
) -> Callable[[Mapping[str, Any], Split], dict[str, float]]:
    """Returns a function of (replicated variables, split) -> loss, figures and `examples`.

    Arguments as of `summer`; an empty split gives an empty dict.
    """
    summed = summer(task, module, preprocess, mapper, batch_size)

    def evaluate(variables: Mapping[str, Any], split: Split) -> dict[str, float]:
        values = summed(variables, split)
        if not values:
            return {}
        return {**tasks.report(task, values, gathered=True), "examples": int(values["count"])}

    return evaluate


def summer(
    task: tasks.Task,
    module: nn.Module,
    preprocess: Preprocess,
    mapper: Mapper,
    batch_size: int,
) -> Callable[[Mapping[str, Any], Split], dict[str, Any]]:
    """Returns a function of (replicated variables, split) -> the sums that figures are made of.

    With what the task makes of all examples that it gathers. `batch_size` is rounded up to a
    multiple of the devices; the last batch is padded and masked.
    """
    batch_size = -(-batch_size // mapper.devices) * mapper.devices
    step = partial(eval_step, task=task, module=module, preprocess=preprocess, axis_name=AXIS)
    compiled = mapper.map(step, split=(False, True))
    rows = mapper.part(batch_size)
    size = rows.stop - rows.start

    def summed(variables: Mapping[str, Any], split: Split) -> dict[str, Any]:
        if not len(split):
            return {}
        pending: list[tuple[dict[str, jax.Array], dict[str, jax.Array]]] = []
        every = mapper.split(np.ones(size, np.float32))
        for start in range(rows.start, len(split) + rows.start, batch_size):
            part = split.take(slice(start, start + size))
            arrays, counted = part.arrays, every
            if missing := size - len(part):
                arrays = {name: lengthened(array, missing) for name, array in arrays.items()}
                counted = mapper.split(lengthened(np.ones(len(part), np.float32), missing))
            batch = mapper.split(arrays) | {COUNTED: counted}
            pending.append(compiled(variables, batch))
            if mapper.waits:
                jax.block_until_ready(pending[-1])
        # Float64 on the host: sums over many batches stay exact for the counts.
        total: Any = None
        sums, kept = zip(*jax.device_get(pending), strict=True)
        for part in sums:
            part = {name: np.asarray(value, np.float64) for name, value in part.items()}
            total = part if total is None else jax.tree.map(np.add, total, part)
        return total if task.gathers is None else {**total, **task.gathers.values(joined(kept))}

    return summed


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns what was kept of the examples of all batches, without those that pad."""
    counted = np.concatenate([part[COUNTED] for part in parts]) > 0
    names = parts[0].keys() - {COUNTED}
    return {name: np.concatenate([part[name] for part in parts])[counted] for name in names}


def lengthened(array: np.ndarray, missing: int) -> np.ndarray:
    """Returns the array with so many zeros after it, along its first dimension."""
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
