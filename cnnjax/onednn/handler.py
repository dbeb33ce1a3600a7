"""oneDNN's convolutions as an operation of XLA, which calls the handler of `native` for them."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.onednn.convolution import Convolution, prepare, program
from cnnjax.onednn.library import library
from cnnjax.parallel import shaped_like

TARGET = "cnnjax_onednn_convolution"


@functools.cache
def registered() -> bool:
    """Returns whether XLA has taken the handler; a version with another interface refuses."""
    found = library()
    if found is None:
        return False
    capsule = jax.ffi.pycapsule(found.native.cnnjax_handler)
    try:
        jax.ffi.register_ffi_target(TARGET, capsule, platform="cpu", api_version=1)
    except jax.errors.JaxRuntimeError:
        return False
    return True


def computes(convolution: Convolution) -> bool:
    """Returns whether `convolve` can be asked for this: oneDNN is there and has a quick kernel."""
    return program(convolution) is not None and registered()


def convolve(convolution: Convolution, operands: Mapping[str, jax.Array]) -> jax.Array:
    """Returns the array of a convolution that is wanted, as an operation on a CPU.

    The operation carries the number of the program, which is that of the same convolution in every
    process; one that runs what another has compiled must have traced it.

    Args:
      convolution: one that `computes`.
      operands: its `operands` by name, float32; others are left alone.
    """
    if not computes(convolution):
        raise RuntimeError(f"oneDNN is not here, or not able to compute {convolution}")
    found = prepare(convolution)
    given = [operands[name] for name in convolution.operands]
    results = (
        shaped_like(given[0], convolution.shape(convolution.wanted), jnp.float32),
        shaped_like(given[0], (found.scratch,), jnp.uint8),
    )
    call = jax.ffi.ffi_call(TARGET, results, vmap_method="sequential")
    return call(*given, plan=np.int64(found.number))[0]
