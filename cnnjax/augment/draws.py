"""The randomness of one operation on one example."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

NUMBERS = 4  # that an operation may use: all are drawn at once, which compiles quickly
Number = float | jax.Array  # a scalar


class Draw(NamedTuple):
    """Numbers uniform in [0, 1), (NUMBERS,), and a key for whoever needs more of them."""

    uniform: jax.Array
    key: jax.Array

    def at(self, index: Any) -> Draw:
        """Returns one or some of many draws."""
        return Draw(self.uniform[index], self.key[index])

    def between(self, number: int, low: Number, high: Number) -> jax.Array:
        """Returns a number uniform in [low, high), or `low` where the two are equal."""
        return low + (high - low) * self.uniform[number]

    def around(self, number: int, centre: float, strength: Number) -> jax.Array:
        """Returns a number uniform in centre ± strength: `centre` itself at strength 0."""
        return centre + strength * (2 * self.uniform[number] - 1)

    def below(self, number: int, count: Number) -> jax.Array:
        """Returns 0, 1, ... or count - 1, as float32."""
        return jnp.floor(count * self.uniform[number])

    def happens(self, number: int, probability: Number) -> jax.Array:
        return self.uniform[number] < probability


def draw_batch(key: jax.Array, batch: int, operations: int, first: ArrayLike) -> Draw:
    """Returns the draws of all operations on all examples: leaves (batch, operations, ...).

    Those of example i are made of fold_in(key, first + i).
    """

    def draw(example: jax.Array) -> Draw:
        numbers, keys = jax.random.split(jax.random.fold_in(key, example))
        uniform = jax.random.uniform(numbers, (operations, NUMBERS), jnp.float32)
        return Draw(uniform, jax.random.split(keys, operations))

    return jax.vmap(draw)(jnp.add(first, jnp.arange(batch)))
