"""Dropout: what falls out depends on the key and the example, and on nothing else."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnnjax import parallel, threefry
from cnnjax.errors import InputError
from cnnjax.layers import Dropout, dropout
from tests.gradients import UNOPTIMISED
from tests.test_train_step import HYPER, Net, batches, compile_step, start

# One shape for most tests: drawing takes long to compile.
ONES = np.ones((8, 60, 50), np.float32)


def drop_piece(x, rate=0.5, key=0, axis_name=None):
    """Returns x after dropout in training."""
    layer = Dropout(rate, train=True, axis_name=axis_name)
    return layer.apply({}, x, rngs={"dropout": jax.random.key(key)})


jit = functools.partial(jax.jit, compiler_options=UNOPTIMISED)
drop = jit(drop_piece)


def value_and_gradient(x, rate):
    """Returns x after dropout in training, and the gradient of its sum."""
    layer = Dropout(rate, train=True)
    y, transpose = jax.vjp(lambda x: layer.apply({}, x, rngs={"dropout": jax.random.key(0)}), x)
    return y, transpose(jnp.ones_like(y))[0]


def test_a_split_batch_loses_the_values_that_the_whole_one_does():
    def piece(x):
        return drop_piece(x, axis_name="data")

    mesh = jax.make_mesh((4,), ("data",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])
    spec = jax.sharding.PartitionSpec("data")
    over_devices = jit(jax.shard_map(piece, mesh=mesh, in_specs=spec, out_specs=spec))
    whole = drop(ONES)
    np.testing.assert_array_equal(over_devices(ONES), whole)
    for pieces in (2, 8):
        split = jit(jax.vmap(piece, axis_name="data"))(ONES.reshape(pieces, -1, *ONES.shape[1:]))
        np.testing.assert_array_equal(split.reshape(ONES.shape), whole)


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
def test_masks_are_those_that_jax_draws(kind):
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(3, impl=kind), jnp.arange(4))
    for shape in ((4, 30, 7), (4, 1), (4,)):
        for probability in (0.0, 0.1, 0.5, 1.0):
            found = dropout.bernoulli(keys, jnp.float32(probability), shape=shape)
            draw = functools.partial(jax.random.bernoulli, p=probability, shape=shape[1:])
            np.testing.assert_array_equal(found, jax.vmap(draw)(keys))


def test_bits_are_those_that_jax_draws():
    keys = jax.random.split(jax.random.key(5), (2, 3))
    expected = jax.vmap(jax.vmap(lambda key: jax.random.bits(key, (1000,))))(keys)
    found = threefry.bits(jax.random.key_data(keys), 1000)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == jnp.uint32


def test_every_example_has_a_mask_of_its_own_whatever_the_batch():
    masks = np.asarray(drop(ONES)).reshape(8, -1)
    assert len(np.unique(masks, axis=0)) == 8
    np.testing.assert_array_equal(drop(ONES[:3]), drop(ONES)[:3])


def test_masks_are_a_function_of_the_key():
    np.testing.assert_array_equal(drop(ONES, key=1), drop(ONES, key=1))
    assert (drop(ONES, key=1) != drop(ONES, key=2)).any()


def test_layers_of_one_network_drop_different_values():
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, x):
            return Dropout(0.5, train=True)(x), Dropout(0.5, train=True)(x)

    def run(x):
        return Twice().apply({}, x, rngs={"dropout": jax.random.key(0)})

    one, other = jit(run)(ONES)
    assert 0.4 < (one != other).mean() < 0.6


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_values_are_kept_with_their_probability_and_their_mean(rate):
    y = np.asarray(drop(3 * ONES, rate))
    np.testing.assert_allclose(y[y != 0], 3 / (1 - rate), rtol=1e-6)
    # Five standard deviations of a binomial share over 24,000 draws.
    assert abs((y == 0).mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / y.size)
    np.testing.assert_allclose(y.mean(), 3, rtol=5 * np.sqrt(rate / (1 - rate) / y.size))


def test_another_rate_compiles_nothing_and_ends_are_exact_with_finite_gradients():
    traced = []

    @jit
    def run(x, rate):
        traced.append(rate)
        return value_and_gradient(x, rate)

    x = 3 * ONES
    for rate in (0.0, 0.25, 1.0):
        y, gradient = run(x, rate)
        constant = jit(value_and_gradient, static_argnums=1)(x, rate)
        np.testing.assert_allclose(y, constant[0], rtol=1e-6)
        np.testing.assert_allclose(gradient, constant[1], rtol=1e-6)
        np.testing.assert_allclose(gradient, y / 3, rtol=1e-6)
        if rate != 0.25:
            np.testing.assert_array_equal(y, (1 - rate) * x)
            np.testing.assert_array_equal(gradient, (1 - rate) * ONES)
    assert len(traced) == 1


def test_evaluation_needs_no_key_and_changes_nothing():
    np.testing.assert_array_equal(Dropout(0.5).apply({}, ONES), ONES)


def test_precision_changes_the_values_but_not_the_mask():
    whole = np.asarray(drop(ONES, 0.3))
    rounded = drop(jnp.asarray(ONES, jnp.bfloat16), 0.3)
    assert rounded.dtype == jnp.bfloat16
    np.testing.assert_array_equal(rounded == 0, whole == 0)
    with jax.enable_x64(True):
        precise = np.asarray(drop(np.float64(ONES), 0.3))
    np.testing.assert_array_equal(precise == 0, whole == 0)
    assert precise.dtype == np.float64
    np.testing.assert_allclose(np.max(precise), 1 / 0.7, rtol=1e-15)


@pytest.mark.parametrize("rate", [-0.1, 1.5, 50])
@pytest.mark.parametrize("train", [False, True])
def test_a_rate_that_is_no_probability_is_refused(rate, train):
    with pytest.raises(InputError, match=f"between 0 and 1: {rate}"):
        Dropout(rate, train=train).init(jax.random.key(0), ONES)


def test_pieces_of_a_batch_drop_differently():
    """Of two equal halves, the first drops as it would alone, and the second does not."""
    module, mapper = Net(dropout_rate=0.5), parallel.mapper("jit", 1)
    hyper = {name: jnp.float32(value) for name, value in HYPER.items()}
    half = {name: values[:8] for name, values in batches()[0].items()}
    twice = {name: np.concatenate([values, values]) for name, values in half.items()}

    def losses(hyper):
        for batch, pieces in ((half, 1), (twice, 2)):
            step = compile_step(module, mapper, accumulate=pieces)
            yield float(step(start(module, mapper), batch, hyper)[1]["loss"])

    alone, both = losses(hyper)
    assert abs(both - 2 * alone) > 1e-3
    alone, both = losses({**hyper, "dropout_rate": jnp.float32(0)})
    assert both == pytest.approx(2 * alone, rel=1e-5)


def test_a_rate_of_zero_needs_no_key():
    np.testing.assert_array_equal(Dropout(0.0, train=True).apply({}, ONES), ONES)
