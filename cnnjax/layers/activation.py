"""Activation functions by name."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from cnnjax.registry import Table

Activation = Callable[[jax.Array], jax.Array]


def linear(x: jax.Array) -> jax.Array:
    """Returns x: the absence of a nonlinearity, under a name that a config can say."""
    return x


# Constants are PyTorch's; of these Keras differs in leaky_relu alone (0.2 for 0.01 below zero).
ACTIVATIONS: Table[Activation] = Table(
    "activation",
    elu=jax.nn.elu,
    gelu=functools.partial(jax.nn.gelu, approximate=False),
    hard_sigmoid=jax.nn.hard_sigmoid,
    hard_swish=jax.nn.hard_swish,
    leaky_relu=jax.nn.leaky_relu,
    linear=linear,
    mish=jax.nn.mish,
    relu=jax.nn.relu,
    relu6=jax.nn.relu6,
    selu=jax.nn.selu,
    sigmoid=jax.nn.sigmoid,
    silu=jax.nn.silu,
    softmax=jax.nn.softmax,
    softplus=jax.nn.softplus,
    softsign=jax.nn.soft_sign,
    tanh=jnp.tanh,
)
