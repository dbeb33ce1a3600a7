"""Our side of a comparison, and the measure."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def relative(ours: Any, theirs: Any) -> float:
    """Returns |ours - theirs| / |theirs| in the Euclidean norm; infinity for other shapes."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        return math.inf
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def outputs(
    network: Any, variables: Any, images: np.ndarray, stages: Any, double: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns our logits, and the outputs of the modules named in `stages`, for images in numpy."""

    def tapped(module: Any, method: str) -> bool:
        return method == "__call__" and "/".join(module.path) in stages

    @jax.jit
    def run(variables: Any, x: jax.Array) -> Any:
        return network.apply(
            variables, x, train=False, capture_intermediates=tapped, mutable=["intermediates"]
        )

    with jax.enable_x64(double):
        dtype = jnp.float64 if double else jnp.float32
        variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), variables)
        logits, captured = run(variables, jnp.asarray(images, dtype))
    values = {}
    for path in stages:
        node = captured["intermediates"]
        for part in path.split("/"):
            node = node[part]
        values[path] = np.asarray(node["__call__"][0])
    return np.asarray(logits), values
