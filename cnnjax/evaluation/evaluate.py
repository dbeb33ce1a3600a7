"""Exact evaluation: every example counts once, at any batch size and device count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
) -> dict[str, jax.Array]:
    """Returns loss, count and the task's measures summed over the whole mapped batch.

    Examples whose `counted` is 0 pad the batch and add nothing.
    """
    targets = {name: x for name, x in batch.items() if name not in (IMAGE, COUNTED)}
    outputs: Any = module.apply(variables, preprocess(batch[IMAGE]), train=False)
    losses = task.loss(outputs, targets)
    return lax.psum(tasks.sums(task, outputs, targets, losses, batch[COUNTED]), axis_name)


def evaluator(
    task: tasks.Task,
    module: nn.Module,
    preprocess: Preprocess,
    mapper: Mapper,
    batch_size: int,
) -> Callable[[Mapping[str, Any], Split], dict[str, float]]:
    """Returns a function of (replicated variables, split) -> loss, figures and `examples`.

    `batch_size` is rounded up to a multiple of the devices; the last batch is padded and masked.
    """
    batch_size = -(-batch_size // mapper.devices) * mapper.devices
    step = partial(eval_step, task=task, module=module, preprocess=preprocess, axis_name=AXIS)
    compiled = mapper.map(step, split=(False, True))
    rows = mapper.part(batch_size)
    size = rows.stop - rows.start

    def evaluate(variables: Mapping[str, Any], split: Split) -> dict[str, float]:
        if not len(split):
            return {}
        pending: list[dict[str, jax.Array]] = []
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
        for sums in jax.device_get(pending):
            sums = {name: np.asarray(value, np.float64) for name, value in sums.items()}
            total = sums if total is None else jax.tree.map(np.add, total, sums)
        return {**tasks.report(task, total), "examples": int(total["count"])}

    return evaluate


def lengthened(array: np.ndarray, missing: int) -> np.ndarray:
    """Returns the array with so many zeros after it, along its first dimension."""
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
