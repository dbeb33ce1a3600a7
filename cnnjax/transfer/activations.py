"""Activations of a file's network: a name, and the numbers that it was given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import nn

from cnnjax.layers import ACTIVATIONS
from cnnjax.registry import Table


@dataclasses.dataclass(frozen=True)
class Activation:
    """A function by its name in `FUNCTIONS`, or else in `layers.ACTIVATIONS`."""

    name: str = "linear"
    values: tuple[tuple[str, float | int | tuple[int, ...] | None], ...] = ()


def rectified(
    x: jax.Array, slope: float = 0.0, threshold: float = 0.0, largest: float | None = None
) -> jax.Array:
    """x above `threshold`, up to `largest`; below it, `slope` times the distance to it."""
    y = jnp.where(x >= threshold, x, slope * (x - threshold))
    return y if largest is None else jnp.minimum(y, largest)


def hard_sigmoid_of_theano(x: jax.Array) -> jax.Array:
    """What Keras called hard_sigmoid before version 3: a slope of 0.2, not of 1/6."""
    return jnp.clip(0.2 * x + 0.5, 0, 1)


def thresholded(x: jax.Array, theta: float = 1.0) -> jax.Array:
    """x above `theta`, else zero."""
    return jnp.where(x > theta, x, 0)


def tanh_shrink(x: jax.Array) -> jax.Array:
    return x - jnp.tanh(x)


# What layers.ACTIVATIONS lacks, or has with other constants.
FUNCTIONS: Table[Callable[..., jax.Array]] = Table(
    "activation",
    celu=nn.celu,
    exponential=jnp.exp,
    gelu_tanh=nn.gelu,
    hard_sigmoid_of_theano=hard_sigmoid_of_theano,
    hard_tanh=nn.hard_tanh,
    log_sigmoid=nn.log_sigmoid,
    log_softmax=nn.log_softmax,
    rectified=rectified,
    squareplus=nn.squareplus,
    tanh_shrink=tanh_shrink,
    thresholded=thresholded,
)


def activated(x: jax.Array, act: Activation) -> jax.Array:
    """Returns the activation of x."""
    function = FUNCTIONS[act.name] if act.name in FUNCTIONS else ACTIVATIONS[act.name]
    return function(x, **dict(act.values))
