"""Dropout whose masks depend on the example, not on the device that happens to hold it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from cnnjax import kernels
from cnnjax.errors import InputError


class Dropout(nn.Module):
    """Zeroes each value with probability `rate` and divides the rest by 1 - rate.

    Srivastava et al. 2014. Needs the `dropout` key when `train` is true.

    Attributes:
      rate: in [0, 1]; a float, or a traced scalar, so that a sweep over it compiles once.
      axis_name: mapped axis over which the batch is split. Each example draws from a key of its
        position in the global batch: one device and eight drop the same values.
    """

    rate: Any
    train: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        known = isinstance(self.rate, int | float)
        if known and not 0 <= self.rate <= 1:
            raise InputError(f"a dropout rate lies between 0 and 1: {self.rate}")
        if not self.train or (known and self.rate == 0):
            return x
        first = 0
        if self.axis_name is not None and not self.is_initializing():
            first = lax.axis_index(self.axis_name) * len(x)
        examples = first + jnp.arange(len(x))
        keys = jax.vmap(jax.random.fold_in, (None, 0))(self.make_rng("dropout"), examples)
        keep = 1 - jnp.asarray(self.rate, jnp.promote_types(x.dtype, jnp.float32))
        # Drawn in float32 whatever x is, so that its precision does not change the mask.
        probability = keep.astype(jnp.float32)
        kept = bernoulli(keys, probability, shape=x.shape)
        # At rate 1 nothing is kept, and an infinite scale would make the gradient nan.
        scale = jnp.where(keep > 0, 1 / keep, 0)
        return jnp.where(kept, x * scale, 0).astype(x.dtype)


@kernels.operation
def bernoulli(keys: jax.Array, probability: jax.Array, *, shape: tuple[int, ...]) -> jax.Array:
    """Returns `jax.random.bernoulli` of each key, as bool of `shape` (len(keys), ...)."""
    return jax.vmap(lambda key: jax.random.bernoulli(key, probability, shape[1:]))(keys)
