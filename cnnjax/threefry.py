"""Threefry, the generator behind `jax.random`, as plain operations.

Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 4.2, for two words of 32
bits. JAX computes it on a CPU in a loop, which writes all numbers to memory after every four
rounds. Here the rounds follow each other, so that XLA merges them with what is done to the numbers.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

# Table 2 of the paper, of which every four rounds take one line in turn.
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
# Groups of four rounds.
GROUPS = 5
# The constant that the words of a key are combined with (section 4.2).
PARITY = 0x1BD11BDA


def is_of(keys: jax.Array) -> bool:
    """Returns whether `bits` has the numbers that `jax.random` draws from such keys."""
    each = getattr(jax.config, "jax_threefry_partitionable", True)
    return each and str(jax.random.key_impl(keys)) == "threefry2x32"


def bits(words: jax.Array, count: int, start: jax.Array | int = 0) -> jax.Array:
    """Returns what `jax.random.bits` does from number `start` on, for many keys at once.

    Args:
      words: (..., 2), uint32: the words of Threefry keys (`jax.random.key_data`).
      count: of numbers per key, below 2**32.
      start: the index of the first.

    Returns:
      (..., count), uint32.
    """
    shape = (*words.shape[:-1], count)
    indices = lax.broadcasted_iota(jnp.uint32, shape, len(shape) - 1) + jnp.uint32(start)
    first, second = mixed(words[..., :1], words[..., 1:], jnp.uint32(0), indices)
    return first ^ second


def fold_in(words: jax.Array, number: jax.Array) -> jax.Array:
    """Returns the words, (2,), of the key that `jax.random.fold_in` gives of such a number."""
    return jnp.stack(mixed(words[0], words[1], jnp.uint32(0), number))


def mixed(
    first: jax.Array, second: jax.Array, x: jax.Array, y: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns what the key (first, second) makes of the counter (x, y), all uint32."""
    keys = first, second, first ^ second ^ jnp.uint32(PARITY)
    x, y = x + keys[0], y + keys[1]
    for group in range(GROUPS):
        for distance in ROTATIONS[group % 2]:
            x = x + y
            y = rotated(y, distance) ^ x
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return x, y


def rotated(x: jax.Array, distance: int) -> jax.Array:
    """Returns the bits of x, uint32, moved up by `distance`, those at the end to the beginning."""
    return (x << jnp.uint32(distance)) | (x >> jnp.uint32(32 - distance))
