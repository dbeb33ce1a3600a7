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

    def evaluate(variables: Mapping[str, Any], split: Split) -> dict[str, float]:
        if not len(split):
            return {}
        total = {"loss": 0.0, "correct": 0.0, "count": 0.0}
        pending: list[dict[str, jax.Array]] = []
        for start in range(0, len(split), batch_size):
            indices = np.arange(start, min(start + batch_size, len(split)))[rows]
            batch = padded(split, indices, rows.stop - rows.start)
            pending.append(compiled(variables, mapper.split(batch)))
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


def padded(split: Split, indices: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Returns a batch of `size`, the missing examples zero and not `counted`."""
    missing = size - len(indices)
    part = split.take(indices)
    return {
        "image": np.pad(part.images, ((0, missing), (0, 0), (0, 0), (0, 0))),
        "label": np.pad(part.labels, (0, missing)),
        "counted": np.pad(np.ones(len(indices), np.float32), (0, missing)),
    }
