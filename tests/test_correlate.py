"""The forms that a correlation takes on a CPU compute what XLA's own does, and its gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec

from cnnjax import layers, parallel
from cnnjax.layers import channels, correlate, forms, tiles
from cnnjax.layers.window import Window

SAME, NONE = ((1, 1), (1, 1)), ((0, 0), (0, 0))
# name -> (shape of x, shape of weights, window, form of the result, form of the gradient of x).
CASES = {
    "usual": ((2, 9, 8, 40), (3, 3, 40, 48), Window((1, 1), SAME, (1, 1)), None, None),
    "strided": ((2, 9, 8, 40), (3, 3, 40, 48), Window((2, 3), SAME, (1, 1)), None, None),
    "dilated": ((2, 9, 9, 40), (3, 3, 40, 48), Window((1, 1), SAME, (2, 2)), None, None),
    "uneven": ((2, 9, 8, 40), (2, 4, 40, 48), Window((2, 1), ((0, 1), (2, 0)), (1, 2)), None, None),
    "left over": ((2, 10, 9, 40), (3, 3, 40, 48), Window((4, 4), NONE, (1, 1)), None, "gathered"),
    "crowded": ((2, 2, 2, 5), (3, 3, 5, 4), Window((1, 1), SAME, (1, 1)), "gathered", "gathered"),
    "crowded, strided": (
        (2, 4, 4, 40), (3, 3, 40, 50), Window((2, 2), SAME, (1, 1)), None, "gathered"
    ),
    "crowded, dilated": (
        (2, 5, 1, 4), (3, 2, 4, 5), Window((1, 1), ((2, 2), (3, 1)), (2, 3)), "gathered", None
    ),
    "full": ((2, 2, 2, 5), (2, 2, 5, 40), Window((1, 1), SAME, (1, 1)), None, "widened"),
    "few features": ((2, 6, 8, 40), (3, 3, 40, 6), Window((1, 1), SAME, (1, 1)), "widened", None),
    "few channels": ((2, 6, 8, 6), (3, 3, 6, 40), Window((1, 1), SAME, (1, 1)), None, "widened"),
    "few of both": (
        (2, 6, 8, 6), (3, 5, 6, 4), Window((2, 1), ((1, 1), (2, 2)), (1, 1)), "widened", "widened"
    ),
    "one channel": (
        (2, 9, 9, 1), (3, 3, 1, 40), Window((1, 1), NONE, (1, 1)), "gathered", "widened"
    ),
    "pointwise": ((2, 6, 7, 40), (1, 1, 40, 50), Window((2, 2), NONE, (1, 1)), None, None),
    "in a row": ((2, 9, 3), (4, 3, 5), Window((2,), ((1, 2),), (1,)), None, "widened"),
    "in space": ((2, 4, 5, 6, 3), (3, 2, 3, 3, 40), Window((1,) * 3, (*SAME, (0, 1)), (1,) * 3),
                 None, "widened"),
}  # fmt: skip


def arrays(case):
    shape, weights, window, *_ = CASES[case]
    draw = np.random.default_rng(0)
    x, w = (jnp.asarray(draw.normal(size=s), jnp.float32) for s in (shape, weights))
    gradient = draw.normal(size=forms.plain(window, x, w).shape)
    return x, w, jnp.asarray(gradient, jnp.float32), window


def close(found, expected):
    scale = float(jnp.max(jnp.abs(expected)))
    np.testing.assert_allclose(found, expected, atol=2e-6 * scale, rtol=0)


@pytest.fixture(autouse=True)
def without_onednn(monkeypatch):
    """Leaves the convolutions to the forms, which machines without oneDNN have."""
    monkeypatch.setattr(correlate, "by_onednn", lambda *_: None)


@pytest.mark.parametrize("case", CASES)
def test_every_form_is_the_correlation_of_xla(case):
    x, w, gradient, window = arrays(case)
    found, back = jax.vjp(lambda x, w: correlate.correlate(x, w, window), x, w)
    expected, plain_back = jax.vjp(lambda x, w: forms.plain(window, x, w), x, w)
    close(found, expected)
    for mine, theirs in zip(back(gradient), plain_back(gradient), strict=True):
        assert mine.shape == theirs.shape and mine.dtype == theirs.dtype
        close(mine, theirs)


def name(form):
    return getattr(getattr(form, "func", form), "__name__", None)


@pytest.mark.parametrize("case", CASES)
def test_shapes_take_the_form_that_was_measured_to_suit_them(case):
    shape, weights, window, forward, back = CASES[case]
    gradient = arrays(case)[2]
    *kernel, channels_in, features = weights
    sizes, outputs = shape[1:-1], gradient.shape[1:-1]
    assert name(forms.form(window, sizes, weights, outputs)) == forward
    dense = window._replace(stride=(1,) * len(sizes))
    turned = (*kernel, features, channels_in)
    assert name(forms.form(dense, outputs, turned, sizes)) == back


def test_forward_derivatives_need_the_plain_form(monkeypatch):
    x, w, _, window = arrays("crowded")
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda w: correlate.correlate(x, w, window), (w,), (w,))
    monkeypatch.setenv("CNNJAX_PLAIN", "1")
    found, tangent = jax.jvp(lambda w: correlate.correlate(x, w, window), (w,), (w,))
    np.testing.assert_array_equal(found, tangent)
    assert not layers.pool.tiled(jnp.ones((1, 4, 4, 16)), layers.pool.place(
        jnp.ones((1, 4, 4, 16)), 2, None, "valid", False))  # fmt: skip


def test_groups_stay_as_they_are():
    x, w = jnp.ones((1, 2, 2, 4)), jnp.ones((3, 3, 1, 4))
    window = Window((1, 1), SAME, (1, 1), groups=4)
    gradient = jax.grad(lambda w: correlate.correlate(x, w, window).sum())(w)
    close(gradient, jax.grad(lambda w: forms.plain(window, x, w).sum())(w))


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
    theirs = partial(loss, partial(forms.plain, window))
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
        y = y + channels.spread(variables["bias"], y.shape)
        return jnp.sum(jnp.sin(layers.max_pool(y)))

    def mapped(variables, x):
        return jax.grad(lambda v: lax.psum(loss(v, x), "data"))(variables)

    split = jax.shard_map(
        mapped, mesh=mesh, in_specs=(PartitionSpec(), PartitionSpec("data")),
        out_specs=PartitionSpec(),
    )  # fmt: skip
    found, expected = split(variables, x), jax.grad(loss)(variables, x)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-3), found, expected)


@pytest.mark.parametrize("shape", [(8, 16, 16, 3), (4, 129, 5), (64, 7), (5, 4, 4, 1)])
def test_a_sum_over_positions_is_one(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = x.reshape(-1, shape[-1]).sum(0, dtype=np.float64)
    np.testing.assert_allclose(channels.channel_sum(jnp.asarray(x)), expected, atol=1e-4)
    per_channel = jnp.arange(shape[-1], dtype=jnp.float32)
    found, back = jax.vjp(lambda v: channels.spread(v, shape), per_channel)
    np.testing.assert_array_equal(found, np.broadcast_to(per_channel, shape))
    np.testing.assert_allclose(back(jnp.asarray(x))[0], expected, atol=1e-4)


def test_a_sum_of_half_precision_is_rounded_once():
    x = jnp.asarray(np.random.default_rng(0).normal(1, 1, (400, 7)), jnp.bfloat16)
    found = channels.channel_sum(x)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, x.astype(jnp.float32).sum(0).astype(jnp.bfloat16))


@pytest.mark.parametrize("shape", [(3, 3, 16, 128), (40, 128), (7, 5), ()])
def test_a_sum_of_squares_is_one(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = np.square(x, dtype=np.float64).sum()
    np.testing.assert_allclose(channels.square_sum(jnp.asarray(x)), expected, rtol=1e-6)


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
    largest, number = tiles.winners(x, window)
    np.testing.assert_array_equal(largest, found)
    assert number.dtype == jnp.int8 and int(number.max()) == window[0] * window[1] - 1
