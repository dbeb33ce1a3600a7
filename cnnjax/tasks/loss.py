"""Losses of one example, in float32."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def cross_entropy(
    logits: jax.Array, labels: jax.Array, smoothing: float | jax.Array = 0.0
) -> jax.Array:
    """Returns the cross entropy of each example, (...,) float32, in nats.

    Args:
      logits: (..., classes).
      labels: (...,) integers.
      smoothing: in [0, 1], the share of the target that is spread evenly over all classes (Szegedy
        et al. 2016, arXiv 1512.00567, section 7).
    """
    logs = jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
    picked = jnp.take_along_axis(logs, labels[..., None], axis=-1)[..., 0]
    return -(1 - smoothing) * picked - smoothing * logs.mean(axis=-1)
