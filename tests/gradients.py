"""A layer against its oracle: a slow function of numpy arrays, which also tells the gradients."""

import jax
import numpy as np

# Half of the time of a small test is spent on optimising what runs once.
UNOPTIMISED = {"xla_backend_optimization_level": 0}


def assert_same_function(layer, oracle, *arguments):
    """Values and gradients of `layer` are those of `oracle`, in float64.

    The oracle's gradients are central differences along random directions of each argument.
    """
    random = np.random.default_rng(0)
    arguments = [np.asarray(a, np.float64) for a in arguments]
    expected = oracle(*arguments)
    cotangent = random.normal(size=expected.shape)
    run = jax.jit(values_and_gradients, static_argnums=0, compiler_options=UNOPTIMISED)
    with jax.enable_x64(True):
        outputs, cotangents = jax.tree.map(np.asarray, run(layer, cotangent, *arguments))
    assert outputs.dtype == np.float64
    np.testing.assert_allclose(outputs, expected, rtol=1e-11, atol=1e-11)
    for i, gradient in enumerate(cotangents):
        for _ in range(2):
            direction = random.normal(size=gradient.shape)
            moved = [
                oracle(*(a + h * direction if i == j else a for j, a in enumerate(arguments)))
                for h in (-1e-6, 1e-6)
            ]
            slope = np.sum((moved[1] - moved[0]) * cotangent) / 2e-6
            np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=1e-6, atol=1e-7)


def values_and_gradients(layer, cotangent, *arguments):
    outputs, transpose = jax.vjp(layer, *arguments)
    return outputs, transpose(cotangent)
