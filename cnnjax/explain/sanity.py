"""Whether an explanation depends on what the network has learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import tree


def randomised(variables: Any, key: jax.Array) -> Any:
    """Returns the variables with the numbers of every parameter in a random order.

    That keeps the scale of each layer and destroys what it knows; running statistics stay.
    """
    leaves = tree.flatten(variables)
    names = [name for name in leaves if name.startswith("params/")]
    for name, k in zip(names, jax.random.split(key, len(names)), strict=True):
        leaves[name] = jax.random.permutation(k, leaves[name].ravel()).reshape(leaves[name].shape)
    return tree.unflatten(leaves)


def similarity(ours: np.ndarray, other: np.ndarray) -> float:
    """Returns Spearman's rank correlation of the absolute values of two maps, in [-1, 1].

    The measure of Adebayo et al. 2018 (arXiv 1810.03292), section 3.1. Of a constant map, nan.
    """
    ranks = [mean_ranks(np.abs(values).ravel()) for values in (ours, other)]
    if any(np.ptp(r) == 0 for r in ranks):
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Returns the rank of each value, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def dependence(explain: Callable[[Any], np.ndarray], variables: Any, seed: int = 0) -> float:
    """Returns how alike `explain(variables)` is with the trained and with randomised parameters.

    Near 1 the explanation would be the same without training: it tells of the image, not of the
    network.
    """
    other = jax.tree.map(jnp.asarray, randomised(variables, jax.random.key(seed)))
    return similarity(explain(variables), explain(other))
