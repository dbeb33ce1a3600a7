"""What the contestants on JAX have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def facts() -> dict[str, Any]:
    device = jax.devices()[0]
    return {"platform": device.platform, "kind": device.device_kind}


def product(size: int, precision: str) -> Callable[[], None]:
    """Returns a function that multiplies two square matrices of `size`."""
    a, b = jax.random.normal(jax.random.key(0), (2, size, size), precision)
    multiply = jax.jit(jnp.matmul)

    def run() -> None:
        multiply(a, b).block_until_ready()

    return run


def device_memory() -> int | None:
    statistics = jax.devices()[0].memory_stats()
    return (statistics or {}).get("peak_bytes_in_use")
