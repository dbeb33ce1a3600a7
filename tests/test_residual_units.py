"""The gradient of a normalisation by moments, and the end of a residual unit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.layers import joined, norm

SHAPE = (8, 4, 16, 6)
plain = norm.normalised.__wrapped__


def arrays(dtype=np.float32):
    generator = np.random.default_rng(0)
    x = generator.normal(5, 3, SHAPE).astype(dtype)
    return x, *(generator.normal(size=SHAPE[-1:]).astype(dtype) for _ in range(2))


def weighed(function):
    """Returns a function to a number that depends on all that `function` returns."""
    weights = jnp.asarray(np.random.default_rng(1).normal(size=SHAPE), jnp.float32)

    def total(x, scale, bias):
        y, mean, var = function(x, scale, bias, epsilon=1e-3, axis_name=None)
        return (y * weights).sum() + jnp.sin(mean).sum() + jnp.sin(var).sum()

    return total


def test_the_gradient_by_two_sums_is_that_of_the_chain_rule():
    with jax.enable_x64(True):
        x, scale, bias = arrays(np.float64)
        given = x, scale, bias.astype(np.float32)
        found = jax.grad(weighed(norm.normalised), (0, 1, 2))(*given)
        expected = jax.grad(weighed(plain), (0, 1, 2))(*given)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-9 if a.dtype == np.float64 else 1e-6)


def test_over_devices_it_is_that_of_the_whole_batch():
    x, scale, bias = arrays()
    weights = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)

    def per_device(function):
        def loss(x, scale, bias, weights):
            y, _, _ = function(x, scale, bias, epsilon=1e-3, axis_name="data")
            return (y * weights).sum()

        mapped = jax.pmap(
            jax.grad(loss, (0, 1, 2)), "data", in_axes=(0, None, None, 0), devices=jax.devices()[:2]
        )
        halves = (2, SHAPE[0] // 2, *SHAPE[1:])
        return mapped(x.reshape(halves), scale, bias, weights.reshape(halves))

    found, expected = per_device(norm.normalised), per_device(plain)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-4)

    def whole(x):
        return (plain(x, scale, bias, epsilon=1e-3, axis_name=None)[0] * weights).sum()

    np.testing.assert_allclose(
        np.reshape(found[0], SHAPE), jax.grad(whole)(x), rtol=2e-4, atol=2e-5
    )


@pytest.mark.parametrize("first", [1.0, np.nan, -np.inf, np.inf])
def test_the_end_of_a_unit_is_the_activation_of_the_sum(first):
    x, shortcut = np.random.default_rng(2).normal(size=(2, 3, 4, 4, 8)).astype(np.float32)
    shortcut[0, 0, 0, 0] = first
    shortcut[1, 2, 2, 2], shortcut[2, 0, 0, 1] = np.nan, -x[2, 0, 0, 1]

    gradient = jnp.asarray(np.cos(x))

    def ends(end):
        value, back = jax.vjp(end, x, shortcut)
        return value, *back(gradient)

    found = jax.jit(lambda: ends(lambda x, y: joined(x, y, "relu")))()
    expected = ends(lambda x, y: jax.nn.relu(x + y))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(joined(x, x, "tanh"), jnp.tanh(x + x))
