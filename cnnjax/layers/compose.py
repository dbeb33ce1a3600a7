"""Branches and their concatenation: the notation in which the Inception papers draw their figures.

A *box* is a convolution, written as the first fields of `ConvBN`: (features, kernel, stride,
padding). A list of boxes stands for convolutions of the same input, concatenated; a function, such
as a pooling, for itself. A *branch* is boxes one after another; a *module* is branches by name,
concatenated over channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

Box = tuple[Any, ...] | list[tuple[Any, ...]] | Callable[[jax.Array], jax.Array]
Branch = Sequence[Box]
Branches = Mapping[str, Branch]


def concat(*branches: jax.Array) -> jax.Array:
    """Returns the branches side by side in the channel dimension."""
    return jnp.concatenate(branches, axis=-1)


def chain(x: jax.Array, unit: Callable[..., nn.Module], boxes: Branch, name: str) -> jax.Array:
    """Returns `x` after `boxes`; the i-th convolution is the submodule `{name}{i}`, from 1.

    Those of a list of boxes are `{name}{i}a`, `{name}{i}b`, ... Call it inside a compact module.
    """
    numbers = itertools.count(1)
    for box in boxes:
        if callable(box):
            x = box(x)
            continue
        label = f"{name}{next(numbers)}"
        if isinstance(box, list):
            x = concat(
                *(unit(*b, name=label + letter)(x) for letter, b in zip("abcd", box, strict=False))
            )
        else:
            x = unit(*box, name=label)(x)
    return x


class Chain(nn.Module):
    """Boxes one after another; the convolutions are called `conv1`, `conv2`, ...

    Attributes:
      unit: what a box stands for, for example `partial(ConvBN, norm=norm)`.
    """

    unit: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array, boxes: Branch) -> jax.Array:
        return chain(x, self.unit, boxes, "conv")


class Concat(nn.Module):
    """The Inception module; the convolutions of branch "5x5" are called `branch5x5_1`, ..."""

    unit: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array, branches: Branches) -> jax.Array:
        return concat(
            *(chain(x, self.unit, boxes, f"branch{name}_") for name, boxes in branches.items())
        )
