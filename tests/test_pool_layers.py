"""Poolings against loops over every window, in numpy, and where it is installed against PyTorch."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnjax.errors import InputError
from cnnjax.layers import (
    GLOBAL_POOLS,
    POOLS,
    average_pool,
    geometric_pool,
    global_average_pool,
    global_max_pool,
    harmonic_pool,
    max_pool,
)
from cnnjax.layers.pool import GUARD, counts, place
from tests.gradients import assert_same_function


def slow_pool(x, reduce, window, stride, widths, ceil_mode=False):
    """Reduces (pixels, channels) and the place of the window in the padded input, for each window.

    Ceil mode: one more window where the last pixels are left out, if it starts before the end.
    """
    starts = []
    for n, k, s, (before, after) in zip(x.shape[1:-1], window, stride, widths, strict=True):
        line = [i for i in range(-before, n + after, s) if i + k <= n + after]
        if ceil_mode and line[-1] + k < n + after and line[-1] + s < n:
            line.append(line[-1] + s)
        starts.append(line)
    result = np.zeros((len(x), *map(len, starts), x.shape[-1]))
    for output in np.ndindex(*map(len, starts)):
        corner = [line[p] for line, p in zip(starts, output, strict=True)]
        inside = tuple(
            slice(max(c, 0), min(c + k, n))
            for c, k, n in zip(corner, window, x.shape[1:-1], strict=True)
        )
        for image in range(len(x)):
            pixels = x[(image, *inside)].reshape(-1, x.shape[-1])
            result[(image, *output)] = reduce(pixels, corner)
    return result


REDUCTIONS = {
    "max": lambda pixels, _: pixels.max(0),
    "average": lambda pixels, _: pixels.mean(0),
    "geometric": lambda pixels, _: np.prod(pixels, 0) ** (1 / len(pixels)),
    "harmonic": lambda pixels, _: len(pixels) / np.sum(1 / pixels, 0),
}
# spatial sizes, window, stride, padding, its widths, ceil mode. Windows of more than nine pixels
# take another path than the smaller ones.
CASES = {
    "tiles": ((4, 6), (2, 2), None, "valid", [(0, 0)] * 2, False),
    "tiles, remainder left out": ((5, 7), (2, 3), None, "valid", [(0, 0)] * 2, False),
    "tiles, ceil": ((5, 7), (2, 2), None, "valid", [(0, 0)] * 2, True),
    "overlap": ((7, 6), (3, 3), (2, 2), "valid", [(0, 0)] * 2, False),
    "overlap, ceil": ((6, 8), (3, 3), (2, 2), "valid", [(0, 0)] * 2, True),
    "overlap, padded": ((6, 7), (3, 3), (2, 2), 1, [(1, 1)] * 2, False),
    "overlap, padded, ceil": ((6, 7), (3, 3), (2, 2), 1, [(1, 1)] * 2, True),
    "same": ((5, 6), (3, 2), (2, 1), "same", [(1, 1), (0, 1)], False),
    "pairs": ((5, 6), (3, 3), (1, 2), ((0, 2), (1, 0)), [(0, 2), (1, 0)], False),
    "large": ((7, 9), (4, 4), (2, 3), 1, [(1, 1)] * 2, False),
    "large, ceil": ((8, 9), (4, 5), (3, 2), 1, [(1, 1)] * 2, True),
    "the last window would start beyond": ((3, 5), (2, 2), (2, 3), 1, [(1, 1)] * 2, True),
    "one dimension": ((9,), (3,), (2,), "same", [(1, 1)], False),
    "three dimensions": ((2, 3, 4), (2, 2, 2), None, "valid", [(0, 0)] * 3, True),
}


def positive(*shape):
    return np.random.default_rng(sum(shape)).uniform(0.1, 3, shape)


@pytest.mark.parametrize("case", CASES)
def test_a_pooling_reduces_the_pixels_of_its_window(case):
    sizes, window, stride, padding, widths, ceil_mode = CASES[case]

    def mean_with_padding(pixels, corner):
        """The mean over pixels and padding; what ceil mode adds after them does not count."""
        counted = 1
        for c, k, n, (_, after) in zip(corner, window, sizes, widths, strict=True):
            counted *= min(c + k, n + after) - c
        return pixels.sum(0) / counted

    def pools(x):
        given = (x, window, stride, padding, ceil_mode)
        outputs = [POOLS[name](*given) for name in REDUCTIONS]
        return jnp.stack([*outputs, average_pool(*given, count_padding=True)])

    def oracle(x):
        given = (window, stride or window, widths, ceil_mode)
        reductions = (*REDUCTIONS.values(), mean_with_padding)
        return np.stack([slow_pool(x, reduce, *given) for reduce in reductions])

    assert_same_function(pools, oracle, positive(2, *sizes, 3))


def test_windows_and_their_counts_are_those_of_pytorch():
    """PyTorch's average of ones is the share of pixels in what it divides by."""
    torch = pytest.importorskip("torch")
    for n, k, s, p, ceil_mode in itertools.product(
        range(3, 10), (1, 2, 3, 4), (1, 2, 3, 4), (0, 1, 2), (False, True)
    ):
        if p > k // 2 or n + 2 * p < k:
            continue  # PyTorch refuses these
        windows = place(np.ones((1, n, n + 1, 1)), k, s, p, ceil_mode)
        ours = [counts((n, n + 1), windows, counted)[..., 0] for counted in (False, True)]
        ones = torch.ones(1, 1, n, n + 1)
        theirs = torch.nn.functional.avg_pool2d(ones, k, s, p, ceil_mode)[0, 0]
        case = f"{n=} {k=} {s=} {p=} {ceil_mode=}"
        assert ours[0].shape == tuple(theirs.shape), case
        np.testing.assert_allclose(ours[0] / ours[1], theirs, rtol=1e-6, err_msg=case)


@pytest.mark.parametrize(
    ("window", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (2, 1, 1), (4, 3, 2)]
)
def test_ties_and_nan_are_treated_as_by_reduce_window(window, stride, padding):
    """Ties are many: the values are whole numbers from 0 to 2, as after a ReLU."""
    x = np.random.default_rng(window).integers(0, 3, (2, 8, 9, 2)).astype(np.float32)

    def reference(x):
        widths = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        sizes, strides = (1, window, window, 1), (1, stride, stride, 1)
        return lax.reduce_window(x, -np.inf, lax.max, sizes, strides, widths)

    @functools.partial(jax.jit, static_argnums=0)
    def value_and_gradient(pool, x):
        y, transpose = jax.vjp(pool, x)
        return y, transpose(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    def pool(x):
        return max_pool(x, window, stride, padding)

    ours, theirs = value_and_gradient(pool, x), value_and_gradient(reference, x)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6, atol=1e-6)
    x[0, 3, 4, 1] = np.nan
    x[1, 0, 0, 0] = -np.inf
    ours, theirs = value_and_gradient(pool, x), value_and_gradient(reference, x)
    assert np.isnan(ours[0]).any()
    np.testing.assert_array_equal(ours[0], theirs[0])


@pytest.mark.parametrize("pool", [geometric_pool, harmonic_pool])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_guarded_averages_and_their_gradients_are_finite(pool, dtype):
    windows = [
        (0, 0, 0, 0),
        (-1, -2, -3, -4),
        (-np.inf, 1, 2, 3),
        (0, 1, 2, 3),
        (GUARD, GUARD, GUARD, GUARD),
        (1e-30, 1e18, 1e30, 1e38),
        (1e18, 1e18, 1e18, 1e18),
    ]
    x = jnp.asarray(windows, dtype).reshape(-1, 2, 2, 1)
    y, transpose = jax.vjp(jax.jit(pool), x)
    (gradient,) = transpose(jnp.ones_like(y))
    assert jnp.isfinite(gradient).all()
    assert (gradient[x < 0.9 * GUARD] == 0).all()
    assert (gradient[x > 1.1 * GUARD] >= 0).all() and gradient[3].any() and gradient[6].all()
    lifted = np.maximum(np.float64(x.reshape(-1, 4)), GUARD)
    exact = {
        geometric_pool: np.exp(np.log(lifted).mean(1)),
        harmonic_pool: 1 / (1 / lifted).mean(1),
    }
    tolerance = 1e-4 if dtype == "float32" else 2**-8
    np.testing.assert_allclose(np.float64(y).reshape(-1), exact[pool], rtol=tolerance)


def test_an_infinite_pixel_makes_all_but_the_harmonic_average_infinite():
    x = np.float32([np.inf, 1, 2, 4]).reshape(1, 2, 2, 1)
    values = [float(pool(x).squeeze()) for pool in (max_pool, average_pool, geometric_pool)]
    assert values == [np.inf] * 3
    np.testing.assert_allclose(harmonic_pool(x).squeeze(), 4 / 1.75, rtol=1e-6)


@pytest.mark.parametrize("window", [2, 4])
def test_harmonic_geometric_average_and_maximum_come_in_this_order(window):
    x = np.exp(np.random.default_rng(0).normal(size=(4, 8, 8, 3)) * 4).astype(np.float32)
    x[0] = 7.0  # all equal: there the four differ by rounding alone
    lowest, *rest = (p(x, window) for p in (harmonic_pool, geometric_pool, average_pool, max_pool))
    for higher in rest:
        assert (lowest <= higher * (1 + 1e-5)).all()
        assert (lowest[1:] < higher[1:]).all()
        lowest = higher


def test_global_poolings_reduce_every_position():
    for sizes in ((6,), (3, 5), (2, 3, 4)):
        x = positive(2, *sizes, 3)
        flat = x.reshape(2, -1, 3)
        assert_same_function(global_average_pool, lambda x: x.reshape(2, -1, 3).mean(1), x)
        np.testing.assert_array_equal(global_max_pool(jnp.float32(x)), np.float32(flat.max(1)))
    assert set(GLOBAL_POOLS) == {"average", "max"}


@pytest.mark.parametrize("pool", [average_pool, geometric_pool, harmonic_pool, global_average_pool])
def test_averages_are_taken_in_float32_and_returned_in_the_dtype_given(pool):
    x = jnp.asarray(positive(1, 16, 16, 2), jnp.bfloat16)
    given = () if pool is global_average_pool else (16,)
    precise = np.asarray(pool(x.astype(jnp.float32), *given).astype(jnp.bfloat16))
    assert pool(x, *given).dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(pool(x, *given)), precise)


@pytest.mark.parametrize("window", [2, 4])
def test_whole_numbers_have_averages_that_are_not(window):
    x = jnp.arange(100, 100 + window**2, dtype=jnp.uint8).reshape(1, window, window, 1)
    mean = 100 + (window**2 - 1) / 2
    for y in (average_pool(x, window), global_average_pool(x)):
        assert y.dtype == jnp.float32
        np.testing.assert_array_equal(y.squeeze(), mean)
    assert max_pool(x, window).dtype == jnp.uint8
    assert int(max_pool(x, window, padding="same").squeeze()) == 100 + window**2 - 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window": 6}, "window of 6x6 does not fit an input of 5x7"),
        ({"window": 0}, "window must be a positive integer"),
        ({"stride": 0}, "stride must be a positive integer.*not 0"),
        ({"padding": 2}, "padding 2 would leave a window of 2x2 without any pixel"),
        ({"padding": "edge"}, "'edge' is for convolutions"),
        ({"padding": "sma"}, "unknown padding 'sma'; did you mean same"),
    ],
)
@pytest.mark.parametrize("pool", POOLS)
def test_an_impossible_pooling_is_refused_in_words(pool, fields, message):
    with pytest.raises(InputError, match=message):
        POOLS[pool](np.zeros((1, 5, 7, 1), np.float32), **fields)


def test_an_unknown_pooling_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="unknown pooling 'averge'; did you mean average"):
        POOLS["averge"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("window", [2, 3, 4])  # a kernel up to 3, XLA's own beyond
def test_padding_never_wins_a_max_pool(dtype, window):
    kind = jnp.iinfo(dtype) if dtype == "int8" else jnp.finfo(dtype)
    lowest = np.full((1, 4, 4, 1), kind.min, dtype)
    values = [lowest] if dtype == "int8" else [lowest, np.full_like(lowest, -np.inf)]
    for x in values:
        for stride, padding in ((1, "same"), (window, 1), (2, "same")):
            found = np.asarray(max_pool(jnp.asarray(x), window, stride, padding))
            np.testing.assert_array_equal(found, np.broadcast_to(x[0, 0, 0, 0], found.shape))


@pytest.mark.parametrize("name", GLOBAL_POOLS)
def test_a_global_pool_is_named_in_what_it_traces_to(name):
    program = jax.jit(lambda x: GLOBAL_POOLS[name](x)).lower(jnp.ones((1, 2, 2, 1))).compile()
    assert f'op_name="jit(<lambda>)/global_{name}_pool/' in program.as_text()
