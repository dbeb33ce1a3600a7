"""Normalisations against slow numpy, and where it is installed against PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.errors import InputError
from cnnjax.layers import NORMS, BatchNorm, GroupNorm, local_response_norm
from tests.gradients import UNOPTIMISED, assert_same_function


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def slow_batch_norm(x, scale, bias, epsilon=1e-5):
    result = np.empty_like(x)
    for c in range(x.shape[-1]):
        values = x[..., c]
        deviation = np.sqrt(np.mean((values - values.mean()) ** 2) + epsilon)
        result[..., c] = (values - values.mean()) / deviation * scale[c] + bias[c]
    return result


def slow_group_norm(x, scale, bias, groups, epsilon=1e-5):
    result = np.empty_like(x)
    size = x.shape[-1] // groups
    for image in range(len(x)):
        for first in range(0, x.shape[-1], size):
            channels = slice(first, first + size)
            values = x[image, ..., channels]
            deviation = np.sqrt(values.var() + epsilon)
            normal = (values - values.mean()) / deviation
            result[image, ..., channels] = normal * scale[channels] + bias[channels]
    return result


def slow_response_norm(x, size, k, alpha, beta):
    result = np.empty_like(x)
    for i in range(x.shape[-1]):
        near = x[..., max(i - size // 2, 0) : i + (size - 1) // 2 + 1]
        result[..., i] = x[..., i] / (k + alpha * (near**2).sum(-1)) ** beta
    return result


def statistics(mean, var):
    return {"mean": jnp.asarray(mean), "var": jnp.asarray(var)}


@pytest.mark.parametrize("shape", [(6, 3), (3, 4, 5, 2)])
def test_batch_norm_in_training_normalises_by_the_batch(shape):
    layer = BatchNorm(train=True, epsilon=1e-3)

    def apply(x, scale, bias):
        zeros = jnp.zeros_like(bias)
        variables = {
            "params": {"scale": scale, "bias": bias},
            "batch_stats": {"mean": zeros, "var": zeros},
        }
        return layer.apply(variables, x, mutable=["batch_stats"])[0]

    def oracle(x, scale, bias):
        return slow_batch_norm(x, scale, bias, 1e-3)

    assert_same_function(apply, oracle, random(*shape), random(shape[-1]), random(shape[-1]))


def test_batch_norm_in_evaluation_normalises_by_the_running_averages():
    def apply(x, scale, bias, mean, var):
        return BatchNorm().apply(
            {
                "params": {"scale": scale, "bias": bias},
                "batch_stats": {"mean": mean, "var": var},
            },
            x,
        )

    def oracle(x, scale, bias, mean, var):
        return (x - mean) / np.sqrt(var + 1e-5) * scale + bias

    vectors = [random(3, seed=i) for i in range(3)]
    assert_same_function(apply, oracle, random(2, 3, 4, 3), *vectors, np.array([0.1, 1, 50]))


def test_training_moves_the_running_averages_and_evaluation_keeps_them():
    x = np.float32(random(4, 3, 3, 2) * [1, 5] + [0, 7])
    before = statistics([1.0, 2.0], [3.0, 4.0])
    variables = {"batch_stats": before}
    layer = BatchNorm(momentum=0.75, use_scale=False, use_bias=False)
    _, moved = layer.clone(train=True).apply(variables, x, mutable=["batch_stats"])
    flat = x.reshape(-1, 2)
    expected = {
        "mean": 0.75 * before["mean"] + 0.25 * flat.mean(0),
        "var": 0.75 * before["var"] + 0.25 * flat.var(0),
    }
    for name, value in moved["batch_stats"].items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5)
    _, kept = layer.apply(variables, x, mutable=["batch_stats"])
    for name, value in kept["batch_stats"].items():
        np.testing.assert_array_equal(value, before[name])


def test_initialising_leaves_the_running_averages_at_zero_and_one():
    variables = BatchNorm(train=True, axis_name="data").init(
        jax.random.key(0), np.float32(random(4, 2) + 5)
    )
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], np.zeros(2))
    np.testing.assert_array_equal(variables["batch_stats"]["var"], np.ones(2))


@pytest.mark.parametrize("mapper", [jax.vmap, jax.pmap])
def test_statistics_over_an_axis_are_those_of_the_whole_batch(mapper):
    x = np.float32(random(8, 3, 3, 2) + np.arange(8)[:, None, None, None])
    weights = np.float32(random(*x.shape, seed=1))
    params = {"scale": jnp.array([1.0, 2.0]), "bias": jnp.array([0.0, 1.0])}
    stats = statistics(np.zeros(2, "float32"), np.ones(2, "float32"))

    def run(params, x, weights, axis_name):
        def loss(params, x):
            layer = BatchNorm(train=True, axis_name=axis_name)
            variables = {"params": params, "batch_stats": stats}
            y, moved = layer.apply(variables, x, mutable=["batch_stats"])
            return (y * weights).sum(), (y, moved["batch_stats"])

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(params, x)

    def split(x, weights):
        (gradients, x_gradient), aside = run(params, x, weights, "data")
        return (jax.lax.psum(gradients, "data"), x_gradient), aside

    jit = functools.partial(jax.jit, compiler_options=UNOPTIMISED)
    whole = jit(run, static_argnums=3)(params, x, weights, None)
    halves = [v.reshape(2, 4, *v.shape[1:]) for v in (x, weights)]
    pieces = jit(mapper(split, axis_name="data"))(*halves)
    for ours, theirs in zip(jax.tree.leaves(pieces), jax.tree.leaves(whole), strict=True):
        if theirs.shape == x.shape:
            np.testing.assert_allclose(ours.reshape(x.shape), theirs, rtol=1e-4, atol=1e-4)
        else:  # the same on either half
            np.testing.assert_allclose(ours, np.stack([theirs] * 2), rtol=1e-4, atol=1e-4)


def test_a_channel_with_a_large_mean_keeps_its_variance():
    x = np.float32(random(64, 8, 8, 2) * 0.1 + 1e3)
    zeros = statistics(np.zeros(2, "float32"), np.zeros(2, "float32"))
    layer = BatchNorm(train=True, momentum=0.0, use_scale=False, use_bias=False)
    y, moved = layer.apply({"batch_stats": zeros}, x, mutable=["batch_stats"])
    exact = np.float64(x).reshape(-1, 2).var(0)
    np.testing.assert_allclose(moved["batch_stats"]["var"], exact, rtol=1e-3)
    np.testing.assert_allclose(np.float64(y).reshape(-1, 2).std(0), 1, rtol=1e-2)
    y = GroupNorm(1, use_scale=False, use_bias=False).apply({}, x)
    np.testing.assert_allclose(np.float64(y).std((1, 2, 3)), 1, rtol=1e-2)


@pytest.mark.parametrize("layer", [BatchNorm(train=True), GroupNorm()])
def test_a_bfloat16_input_has_float32_statistics(layer):
    x = jnp.asarray(random(16, 8, 8, 4) + 20, jnp.bfloat16)
    y, variables = jax.jit(layer.init_with_output)(jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}
    assert y.dtype == jnp.bfloat16
    precise, _ = jax.jit(layer.init_with_output)(jax.random.key(0), x.astype(jnp.float32))
    np.testing.assert_allclose(np.float32(y), precise, rtol=2**-8, atol=1e-6)


def test_running_averages_keep_their_dtype():
    """A float64 batch does not turn a float32 state into another, which would compile anew."""
    with jax.enable_x64(True):
        for state, batch in (("float32", "float64"), ("float64", "float32")):
            stats = statistics(np.zeros(2, state), np.ones(2, state))
            layer = BatchNorm(train=True, use_scale=False, use_bias=False)
            y, moved = jax.eval_shape(
                lambda x, stats, layer=layer: layer.apply(
                    {"batch_stats": stats}, x, mutable=["batch_stats"]
                ),
                random(4, 2).astype(batch),
                stats,
            )
            assert y.dtype == batch
            assert {leaf.dtype for leaf in jax.tree.leaves(moved)} == {np.dtype(state)}


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm_normalises_the_channels_of_a_group_in_each_image(groups):
    def apply(x, scale, bias):
        return GroupNorm(groups).apply({"params": {"scale": scale, "bias": bias}}, x)

    def oracle(x, scale, bias):
        return slow_group_norm(x, scale, bias, groups)

    assert_same_function(apply, oracle, random(2, 3, 4, 6), random(6, seed=1), random(6, seed=2))


def test_normalisations_are_bound_by_name():
    x = np.float32(random(3, 4, 4, 48))
    ones, zeros = np.ones(48), np.zeros(48)
    expected = {
        "batch": slow_batch_norm(x, ones, zeros, 1e-3),
        "group": slow_group_norm(x, ones, zeros, 16, 1e-3),  # 16 divides 32 and 48
        "layer": slow_group_norm(x, ones, zeros, 1, 1e-3),
    }
    for name, y in expected.items():
        norm = NORMS[name](True, None, momentum=0.9, epsilon=1e-3)
        assert norm is not None
        output, _ = jax.jit(norm().init_with_output)(jax.random.key(0), x)
        np.testing.assert_allclose(output, y, rtol=1e-4, atol=1e-4)
    assert NORMS["none"](True, None, momentum=0.9) is None
    with pytest.raises(InputError, match="unknown normalisation 'bach'; did you mean batch"):
        NORMS["bach"]


def test_groups_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(InputError, match="24 channels do not divide into 32 groups"):
        GroupNorm(32).init(jax.random.key(0), np.zeros((1, 2, 2, 24), "float32"))


@pytest.mark.parametrize("size", [1, 2, 5, 7])
def test_local_response_norm_divides_by_its_neighbours_squares(size):
    def apply(x):
        return local_response_norm(x, size, 2.0, 0.1, 0.75)

    def oracle(x):
        return slow_response_norm(x, size, 2.0, 0.1, 0.75)

    assert_same_function(apply, oracle, 3 * random(2, 3, 2, 6))


def test_local_response_norm_defaults_are_those_of_alexnet():
    x = np.float32(100 * random(1, 3, 3, 8))
    exact = slow_response_norm(x, 5, 2.0, 1e-4, 0.75)
    np.testing.assert_allclose(local_response_norm(x), exact, rtol=1e-5)
    rounded = local_response_norm(jnp.asarray(x, jnp.bfloat16))
    assert rounded.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(rounded), exact, rtol=2e-2)
    with pytest.raises(InputError, match="must be positive: 0"):
        local_response_norm(x, 0)


def test_normalisations_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = np.float32(random(3, 4, 5, 6))
    y = torch.from_numpy(x).permute(0, 3, 1, 2)
    empty = dict(use_scale=False, use_bias=False)
    stats = statistics(np.zeros(6, "float32"), np.ones(6, "float32"))
    batch = BatchNorm(train=True, **empty)
    pairs = [
        (
            batch.apply({"batch_stats": stats}, x, mutable=["batch_stats"])[0],
            functional.batch_norm(y, torch.zeros(6), torch.ones(6), training=True),
        ),
        (GroupNorm(3, **empty).apply({}, x), functional.group_norm(y, 3)),
        (GroupNorm(1, **empty).apply({}, x), functional.layer_norm(y, (6, 4, 5))),
    ]
    for size in (4, 5):
        ours = local_response_norm(x, size, 1.0, 0.5 / size, 0.75)
        pairs.append((ours, functional.local_response_norm(y, size, 0.5, 0.75, 1.0)))
    for mine, theirs in pairs:
        np.testing.assert_allclose(mine, theirs.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5)
