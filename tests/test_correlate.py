"""What the programs of a correlation on a CPU keep of XLA's own, beside its values."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec

from cnnjax import kernels, layers, onednn, parallel
from cnnjax.kernels import Window, pooling
from cnnjax.layers import correlate
from tests.kernel_cases import FORMS, SAME


def arrays(case):
    (shapes,), window = FORMS[case].shapes(2), FORMS[case].facts["window"]
    draw = np.random.default_rng(0)
    x, w = (jnp.asarray(draw.normal(size=shapes[name]), jnp.float32) for name in ("x", "weights"))
    gradient = draw.normal(size=plain(x, w, window).shape)
    return x, w, jnp.asarray(gradient, jnp.float32), window


def plain(x, weights, window):
    """Returns the correlation of XLA."""
    return correlate.correlated.__wrapped__({"x": x, "weights": weights}, window=window, relu=False)


def close(found, expected):
    scale = float(jnp.max(jnp.abs(expected)))
    np.testing.assert_allclose(found, expected, atol=2e-6 * scale, rtol=0)


@pytest.fixture(autouse=True)
def without_onednn(monkeypatch):
    """Leaves the convolutions to the forms, which machines without oneDNN have."""
    monkeypatch.setattr(onednn, "computes", lambda _: False)


def test_forward_derivatives_need_the_plain_form(monkeypatch):
    x, w, _, window = arrays("crowded")
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda w: correlate.correlate(x, w, window), (w,), (w,))
    monkeypatch.setenv("CNNJAX_PLAIN", "1")
    found, tangent = jax.jvp(lambda w: correlate.correlate(x, w, window), (w,), (w,))
    np.testing.assert_array_equal(found, tangent)
    ones = jnp.ones((1, 4, 4, 16))
    np.testing.assert_array_equal(*jax.jvp(layers.max_pool, (ones,), (ones,)))


def test_a_gradient_of_nan_is_all_nan():
    x, w, gradient, window = arrays("usual")
    _, back = jax.vjp(lambda w: correlate.correlate(x, w, window), w)
    (found,) = back(gradient.at[0, 0, 0, 0].set(jnp.nan))
    assert np.isnan(found).all()


def test_nothing_is_merged_into_the_gradient_of_the_weights():
    x, w, gradient, window = arrays("usual")

    def both(x, w, gradient):
        _, back = jax.vjp(lambda x, w: correlate.correlate(jnp.tanh(x), w, window), x, w)
        return back(gradient)

    text = jax.jit(both).lower(x, w, gradient).compile().as_text()
    assert "conditional(" in text


def test_a_branch_for_cpus_is_not_lowered_for_others():
    x, w, _, window = arrays("crowded")
    traced = jax.jit(partial(correlate.correlate, window=window)).trace(x, w)
    assert "stablehlo.convolution" in traced.lower(lowering_platforms=("tpu",)).as_text()
    assert "stablehlo.convolution" not in traced.lower(lowering_platforms=("cpu",)).as_text()


@pytest.mark.parametrize("case", ["usual", "crowded", "few of both"])
def test_it_can_be_batched_and_differentiated_twice(case):
    x, w, gradient, window = arrays(case)

    def loss(function, w):
        return jnp.sum(jnp.sin(function(x, w)) * gradient)

    mine = partial(loss, partial(correlate.correlate, window=window))
    theirs = partial(loss, partial(plain, window=window))
    several = jnp.stack([w, 2 * w])
    close(jax.vmap(jax.grad(mine))(several), jax.vmap(jax.grad(theirs))(several))
    direction = jnp.flip(w)
    products = [jax.jvp(jax.grad(f), (w,), (direction,))[1] for f in (mine, theirs)]
    np.testing.assert_allclose(products[0], products[1], rtol=1e-4, atol=1e-3)


def test_checked_devices_sum_the_gradients_of_what_they_share():
    mesh = parallel.mapper("jit", 4).mesh
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.normal(size=(8, 6, 6, 32)), jnp.float32)
    variables = {"conv": jnp.asarray(draw.normal(size=(3, 3, 32, 32)), jnp.float32),
                 "bias": jnp.arange(32, dtype=jnp.float32)}  # fmt: skip

    def loss(variables, x):
        y = correlate.correlate(x, variables["conv"], Window((1, 1), SAME, (1, 1)))
        y = y + kernels.spread(variables["bias"], shape=y.shape)
        return jnp.sum(jnp.sin(layers.max_pool(y)))

    def mapped(variables, x):
        return jax.grad(lambda v: lax.psum(loss(v, x), "data"))(variables)

    split = jax.shard_map(
        mapped, mesh=mesh, in_specs=(PartitionSpec(), PartitionSpec("data")),
        out_specs=PartitionSpec(),
    )  # fmt: skip
    found, expected = split(variables, x), jax.grad(loss)(variables, x)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-3), found, expected)


def test_a_sum_of_half_precision_is_rounded_once():
    x = jnp.asarray(np.random.default_rng(0).normal(1, 1, (400, 7)), jnp.bfloat16)
    found = kernels.channel_sum(x)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, x.astype(jnp.float32).sum(0).astype(jnp.bfloat16))


@pytest.mark.parametrize("shape", [(3, 3, 16, 128), (40, 128), (7, 5), ()])
def test_a_sum_of_squares_is_one(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = np.square(x, dtype=np.float64).sum()
    np.testing.assert_allclose(kernels.square_sum(jnp.asarray(x)), expected, rtol=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (6, 13)])
@pytest.mark.parametrize("window", [(2, 2), (3, 2), (1, 3)])
def test_tiles_give_their_gradient_to_the_winner(size, window):
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.integers(0, 4, (2, *size, 16)), jnp.float32)  # of many ties

    def pooled(x):
        return layers.max_pool(x, window)

    found, back = jax.vjp(pooled, x)
    gradient = jnp.asarray(draw.normal(size=found.shape), jnp.float32)
    few = x[..., :15]  # too few channels for tiles
    expected, plain_back = jax.vjp(pooled, few)
    np.testing.assert_array_equal(found[..., :15], expected)
    np.testing.assert_array_equal(back(gradient)[0][..., :15], plain_back(gradient[..., :15])[0])
    largest, number = pooling.winners(x, window)
    np.testing.assert_array_equal(largest, found)
    assert number.dtype == jnp.int8 and int(number.max()) == window[0] * window[1] - 1
