"""Whether what should be the same on every device is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnnjax.errors import Failure
from cnnjax.parallel.mapper import AXIS, Mapper


class Diverged(Failure):
    """Devices that should hold the same values do not."""


def checker(mapper: Mapper) -> Callable[[Any], None]:
    """Returns a function of a replicated tree that raises Diverged where two copies differ.

    It reads every copy once, on its device, and compares 4 bytes per leaf. Copies can only come to
    differ through a step that forgets to average, a collective that fails silently, or memory.
    """
    if mapper.devices == 1:
        return lambda tree: None
    # jit over the mesh hands each device its own copy, also of what pmap has made.
    compare = dataclasses.replace(mapper, kind="jit").map(gathered, split=(False,))

    def check(tree: Any) -> None:
        copies = np.asarray(compare(tree))
        wrong = np.argwhere(copies != copies[0])
        if len(wrong):
            device, leaf = (int(i) for i in wrong[0])
            path, _ = jax.tree_util.tree_flatten_with_path(tree)[0][leaf]
            raise Diverged(
                f"{jax.tree_util.keystr(path)} on {mapper.mesh.devices.flat[device]} is not what "
                f"it is on {mapper.mesh.devices.flat[0]} ({len(wrong)} such differences): nothing "
                "was saved since the last checkpoint, from which the same command goes on"
            )

    return check


def gathered(tree: Any) -> jax.Array:
    """Returns (devices, leaves) uint32: the fingerprints of each device's copy."""
    return lax.all_gather(jnp.stack([fingerprint(x) for x in jax.tree.leaves(tree)]), AXIS)


def fingerprint(x: jax.Array) -> jax.Array:
    """Returns a uint32 that changes with any single bit of `x`, and with the order of its values.

    Sums, modulo 2**32, the words of `x`, each times another odd number: no change of one word can
    vanish in it.
    """
    unsigned = jnp.dtype(f"uint{8 * x.dtype.itemsize}")
    words = lax.bitcast_convert_type(x, unsigned) if x.dtype != bool else x.astype(jnp.uint8)
    if unsigned.itemsize == 8:
        words = lax.bitcast_convert_type(words, jnp.uint32)
    words = words.astype(jnp.uint32).ravel()
    weights = 2 * jnp.arange(words.size, dtype=jnp.uint32) + 1
    return jnp.sum(words * weights, dtype=jnp.uint32)
