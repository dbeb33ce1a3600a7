"""Options for XLA, in one place."""

from __future__ import annotations

import functools

import jax

# On XLA:CPU of jax 0.10 this sends unpadded convolutions and weight gradients to the fast path that
# padded ones take: the training step of `mnist_cnn` takes 100 ms instead of 240 on two cores. An
# option that a version of jax does not know raises, so it is tried once.
CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}


@functools.cache
def options(platform: str) -> dict[str, str]:
    """Returns the `compiler_options` for `jax.jit` that this version of jax accepts."""
    if platform != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=CPU_OPTIONS).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return CPU_OPTIONS
