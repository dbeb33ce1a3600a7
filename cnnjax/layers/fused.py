"""Units whose parts are one operation: a convolution with the constants and the ReLU that follow.

The parts are the same one by one, where a gradient is taken or somebody looks in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.layers.activation import ACTIVATIONS
from cnnjax.layers.norm import BatchNorm

if TYPE_CHECKING:
    from cnnjax.layers.conv import Conv, ConvBN


def activated(conv: Conv, x: jax.Array, act: str) -> jax.Array:
    """Returns the activation named `act` of conv(x), at once if that can be and nobody looks."""
    if act == "relu" and not observed(conv):
        return conv(x, relu=True)
    return ACTIVATIONS[act](conv(x))


def unit(
    conv: Conv, norm: BatchNorm | None, x: jax.Array, shortcut: jax.Array | None, act: str
) -> jax.Array:
    """Returns what a unit makes of x, `possible` as one operation."""
    after = {} if norm is None else norm.constants()
    if shortcut is not None:
        after["shortcut"] = shortcut
    if act == "relu":
        return conv(x, True, **after)
    return ACTIVATIONS[act](conv(x, False, **after))


def possible(
    unit: ConvBN, norm: nn.Module | None, x: jax.Array, shortcut: jax.Array | None
) -> bool:
    """Returns whether what follows the convolution is constant, and nobody looks in between."""
    constant = norm is None or (isinstance(norm, BatchNorm) and not norm.train)
    arrays = (x,) if shortcut is None else (x, shortcut)
    asked = (unit.dtype, getattr(norm, "dtype", None), *(array.dtype for array in arrays))
    single = all(dtype in (None, jnp.float32) for dtype in asked)
    return constant and single and not observed(unit)


def observed(module: nn.Module) -> bool:
    """Returns whether the module is to show what its submodules compute, one by one."""
    return module.is_initializing() or module.is_mutable_collection("intermediates")
