"""What a network makes of every example, one by one."""

from __future__ import annotations

import sys
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.progress import track

from cnnjax import compiler
from cnnjax.data import Split
from cnnjax.evaluation.evaluate import lengthened
from cnnjax.evaluation.trained import Trained


def losses(
    network: Trained, split: Split, outputs: bool = False, batch: int = 500, what: str = ""
) -> tuple[np.ndarray, Any]:
    """Returns the loss of every example, (n,) float32, and the network's outputs, if asked for.

    The loss is that of evaluation: without label smoothing. `what` names the work for the progress
    bar of a terminal.
    """
    batch = min(batch, len(split))

    @compiler.jit
    def step(variables: Any, pixels: jax.Array, targets: Any) -> tuple[jax.Array, Any]:
        found: Any = network.module.apply(variables, network.preprocess(pixels), train=False)
        return network.task.loss(found, targets), found if outputs else ()

    found = []
    console = Console(stderr=True)
    hidden = not (what and sys.stderr.isatty())
    for start in track(range(0, len(split), batch), what, console=console, disable=hidden):
        part = split.take(slice(start, start + batch))
        padded = {k: lengthened(v, batch - len(part)) for k, v in part.targets.items()}
        pixels = lengthened(part.images, batch - len(part))
        one = step(network.variables, pixels, padded)
        size = len(part)
        found.append(jax.tree.map(lambda x, size=size: np.asarray(x)[:size], one))
    each, given = jax.tree.map(lambda *parts: np.concatenate(parts), *found)
    return each, given if outputs else None
