"""Activations by name against the formulas of their papers, in numpy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from cnnjax.errors import InputError
from cnnjax.layers import ACTIVATIONS
from tests.gradients import assert_same_function

ALPHA, LAMBDA = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017, 1706.02515


def elu(x):
    return np.where(x > 0, x, np.expm1(x))


FORMULAS = {
    "elu": elu,
    "gelu": lambda x: x * special.ndtr(x),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "linear": lambda x: x,
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "selu": lambda x: LAMBDA * np.where(x > 0, x, ALPHA * np.expm1(x)),
    "sigmoid": special.expit,
    "silu": lambda x: x * special.expit(x),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "tanh": np.tanh,
}


def test_activations_are_their_formulas():
    x = np.random.default_rng(0).normal(size=(3, 4, 5)) * 4
    assert FORMULAS.keys() == ACTIVATIONS.keys()

    def all_of(table):
        return lambda x, np=np: np.stack([table[name](x) for name in sorted(table)])

    assert_same_function(lambda x: all_of(ACTIVATIONS)(x, jnp), all_of(FORMULAS), x)


def test_probabilities_sum_to_one_even_for_large_logits():
    x = np.float32([[1e4, 0, -1e4], [3, 3, 3]])
    np.testing.assert_allclose(ACTIVATIONS["softmax"](x), [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)


def test_an_unknown_activation_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="unknown activation 'leakyrelu'; did you mean leaky_relu"):
        ACTIVATIONS["leakyrelu"]
