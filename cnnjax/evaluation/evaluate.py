"""Exact evaluation: every example counts once, at any batch size and device count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax import lax

from cnnjax.data import Split
from cnnjax.evaluation.loss import cross_entropy, sums
from cnnjax.parallel import AXIS, Mapper

Preprocess = Callable[[jax.Array], jax.Array]


def eval_step(
    variables: Mapping[str, Any],
    batch: Mapping[str, jax.Array],
    *,
    module: nn.Module,
    preprocess: Preprocess,
    axis_name: str,
) -> dict[str, jax.Array]:
    """Returns loss, correct and count summed over the whole mapped batch.

    Examples whose `counted` is 0 pad the batch and add nothing.
    """
    logits: Any = module.apply(variables, preprocess(batch["image"]), train=False)
    losses = cross_entropy(logits, batch["label"])
    return lax.psum(sums(logits, batch["label"], losses, batch["counted"]), axis_name)


def evaluator(
    module: nn.Module, preprocess: Preprocess, mapper: Mapper, batch_size: int
) -> Callable[[Mapping[str, Any], Split], dict[str, float]]:
    """Returns a function of (replicated variables, split) -> accuracy, loss and examples.

    `batch_size` is rounded up to a multiple of the devices; the last batch is padded and masked.
    """
    batch_size = -(-batch_size // mapper.devices) * mapper.devices
    step = partial(eval_step, module=module, preprocess=preprocess, axis_name=AXIS)
    compiled = mapper.map(step, split=(False, True))
    rows = mapper.part(batch_size)
    size = rows.stop - rows.start

    def evaluate(variables: Mapping[str, Any], split: Split) -> dict[str, float]:
        if not len(split):
            return {}
        total = {"loss": 0.0, "correct": 0.0, "count": 0.0}
        pending: list[dict[str, jax.Array]] = []
        every = mapper.split(np.ones(size, np.float32))
        for start in range(rows.start, len(split) + rows.start, batch_size):
            images, labels = split.images[start : start + size], split.labels[start : start + size]
            counted = every
            if missing := size - len(images):
                images, labels = lengthened(images, missing), lengthened(labels, missing)
                counted = mapper.split(lengthened(np.ones(size - missing, np.float32), missing))
            batch = mapper.split({"image": images, "label": labels}) | {"counted": counted}
            pending.append(compiled(variables, batch))
            if mapper.waits:
                jax.block_until_ready(pending[-1])
        for part in jax.device_get(pending):
            # Float64 on the host: sums over many batches stay exact for the counts.
            total = {name: total[name] + float(part[name]) for name in total}
        return {
            "loss": total["loss"] / total["count"],
            "accuracy": total["correct"] / total["count"],
            "examples": int(total["count"]),
        }

    return evaluate


def lengthened(array: np.ndarray, missing: int) -> np.ndarray:
    """Returns the array with so many zeros after it, along its first dimension."""
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
