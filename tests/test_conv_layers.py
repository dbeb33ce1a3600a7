"""Convolutions and dense layers against loops over every output, in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnnjax.errors import InputError
from cnnjax.layers import BatchNorm, Conv, ConvBN, Dense, DepthwiseConv, SeparableConv, he_normal
from tests.gradients import assert_same_function


def slow_convolution(x, kernel, bias, stride=1, dilation=1, groups=1):
    """Correlates x (batch, *spatial, channels), unpadded, one output number at a time."""
    taps, features = kernel.shape[:-2], kernel.shape[-1]
    sizes = [
        (n - (k - 1) * dilation - 1) // stride + 1 for n, k in zip(x.shape[1:-1], taps, strict=True)
    ]
    result = np.zeros((len(x), *sizes, features))
    for *place, m in np.ndindex(*sizes, features):
        first = m // (features // groups) * kernel.shape[-2]
        for tap in np.ndindex(*taps):
            pixel = tuple(p * stride + t * dilation for p, t in zip(place, tap, strict=True))
            seen = x[(slice(None), *pixel, slice(first, first + kernel.shape[-2]))]
            result[(slice(None), *place, m)] += seen @ kernel[(*tap, slice(None), m)]
    return result + bias


def random(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape)


# spatial sizes, channels, fields, the padding as np.pad takes it. The widths of "same" are those of
# TensorFlow: the least that give ceil(n / stride) outputs, the odd one after.
CASES = {
    "valid": ((5, 6), 2, {"features": 3, "padding": "valid"}, [(0, 0), (0, 0)]),
    "valid, even kernel": ((5, 6), 2, {"features": 3, "kernel": (2, 4), "padding": "valid"}, None),
    "valid, stride": ((7, 6), 2, {"features": 3, "stride": 2, "padding": "valid"}, None),
    "same": ((5, 6), 2, {"features": 3}, [(1, 1), (1, 1)]),
    "same, even kernel": ((5, 6), 2, {"features": 3, "kernel": (2, 4)}, [(0, 1), (1, 2)]),
    "same, stride": ((5, 6), 2, {"features": 3, "stride": 2}, [(1, 1), (0, 1)]),
    "same, stride beyond kernel": ((7, 5), 2, {"features": 3, "kernel": 1, "stride": 3}, None),
    "same, dilation": ((7, 6), 2, {"features": 3, "dilation": 2}, [(2, 2), (2, 2)]),
    "full": ((3, 4), 2, {"features": 3, "kernel": (3, 2), "padding": "full"}, [(2, 2), (1, 1)]),
    "a width": ((5, 6), 2, {"features": 3, "stride": 2, "padding": 2}, [(2, 2), (2, 2)]),
    "a pair and a width": ((5, 6), 2, {"features": 3, "padding": ((0, 1), 2)}, [(0, 1), (2, 2)]),
    "edge": ((5, 6), 2, {"features": 3, "padding": "edge", "stride": 2}, [(1, 1), (0, 1)]),
    "reflect": ((5, 6), 2, {"features": 3, "kernel": 5, "padding": "reflect"}, [(2, 2), (2, 2)]),
    "groups": ((4, 5), 4, {"features": 6, "groups": 2}, [(1, 1), (1, 1)]),
    "no bias": ((4, 5), 2, {"features": 3, "use_bias": False}, [(1, 1), (1, 1)]),
    "one dimension": ((9,), 2, {"features": 3, "kernel": 4, "stride": 2, "dilation": 2}, [(3, 3)]),
    "three dimensions": ((3, 4, 2), 2, {"features": 2, "kernel": 2, "padding": 1}, [(1, 1)] * 3),
}


@pytest.mark.parametrize("case", CASES)
def test_a_convolution_is_the_sum_over_its_window(case):
    sizes, channels, fields, widths = CASES[case]
    layer = Conv(**fields)
    x = random(2, *sizes, channels)
    groups = fields.get("groups", 1)
    kernel = fields.get("kernel", 3)
    kernel = kernel if isinstance(kernel, tuple) else (kernel,) * len(sizes)
    weights = random(*kernel, channels // groups, layer.features)
    bias = random(layer.features)
    widths = [(0, 0), *(widths or [(0, 0)] * len(sizes)), (0, 0)]
    mode = layer.padding if layer.padding in ("edge", "reflect") else "constant"

    def apply(x, weights, bias):
        params = {"kernel": weights, "bias": bias} if layer.use_bias else {"kernel": weights}
        return layer.apply({"params": params}, x)

    def oracle(x, weights, bias):
        return slow_convolution(
            np.pad(x, widths, mode=mode),
            weights,
            bias if layer.use_bias else 0,
            layer.stride,
            layer.dilation,
            groups,
        )

    assert_same_function(apply, oracle, x, weights, bias)


@pytest.mark.parametrize("sizes", [(5,), (4, 5), (3, 2, 3)])
def test_a_depthwise_convolution_gives_every_channel_kernels_of_its_own(sizes):
    layer = DepthwiseConv(kernel=3, stride=2, multiplier=2)
    x, channels = random(2, *sizes, 3), 3
    weights, bias = random(*(3 for _ in sizes), 1, channels * 2), random(channels * 2)
    # ceil(n / 2) outputs of 3 taps take n + 2 places where n is odd, n + 1 where it is even.
    widths = [(1, 1) if n % 2 else (0, 1) for n in sizes]

    def oracle(x, weights, bias):
        x = np.pad(x, [(0, 0), *widths, (0, 0)])
        columns = [
            slow_convolution(x[..., m // 2, None], weights[..., m, None], bias[m], stride=2)
            for m in range(channels * 2)
        ]
        return np.concatenate(columns, axis=-1)

    def apply(x, weights, bias):
        return layer.apply({"params": {"kernel": weights, "bias": bias}}, x)

    assert_same_function(apply, oracle, x, weights, bias)


@pytest.mark.parametrize("sizes", [(5,), (4, 5), (3, 2, 3)])
def test_a_separable_convolution_is_a_depthwise_and_a_pointwise_one(sizes):
    layer = SeparableConv(4, padding="valid", kernel=2)
    x = random(2, *sizes, 3)
    window = tuple(2 for _ in sizes)
    depthwise, pointwise, bias = random(*window, 1, 3), random(3, 4), random(4)

    def oracle(x, depthwise, pointwise, bias):
        return slow_convolution(x, depthwise, 0, groups=3) @ pointwise + bias

    def apply(x, depthwise, pointwise, bias):
        params = {
            "depthwise": {"kernel": depthwise},
            "pointwise": {"kernel": pointwise.reshape(*(1 for _ in sizes), 3, 4), "bias": bias},
        }
        return layer.apply({"params": params}, x)

    assert_same_function(apply, oracle, x, depthwise, pointwise, bias)


def test_a_dense_layer_is_a_weighted_sum():
    def oracle(x, kernel, bias):
        return np.array([[sum(row * kernel[:, m]) + bias[m] for m in range(4)] for row in x])

    def apply(x, kernel, bias):
        return Dense(4).apply({"params": {"kernel": kernel, "bias": bias}}, x)

    assert_same_function(apply, oracle, random(3, 5), random(5, 4), random(4))


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (Conv(4, kernel=(3, 2), groups=2), {"bias": (4,), "kernel": (3, 2, 3, 4)}),
        (DepthwiseConv(multiplier=2), {"bias": (12,), "kernel": (3, 3, 1, 12)}),
        (
            SeparableConv(4, use_bias=False),
            {"depthwise": {"kernel": (3, 3, 1, 6)}, "pointwise": {"kernel": (1, 1, 6, 4)}},
        ),
        (ConvBN(4), {"conv": {"kernel": (3, 3, 6, 4)}, "norm": {"bias": (4,), "scale": (4,)}}),
        (ConvBN(4, norm=None), {"conv": {"kernel": (3, 3, 6, 4)}}),
    ],
)
@pytest.mark.parametrize("x64", [False, True])
def test_parameters_have_public_names_and_are_float32(layer, names, x64):
    with jax.enable_x64(x64):
        x = jnp.zeros((1, 5, 5, 6))
        params = jax.eval_shape(layer.init, jax.random.key(0), x)["params"]
    assert jax.tree.map(lambda leaf: leaf.shape, params) == names
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float32")}


def test_initial_weights_have_the_variance_two_over_the_inputs_an_output_sees():
    kernel = he_normal(jax.random.key(0), (3, 3, 4, 128))  # 4 channels in each group
    np.testing.assert_allclose(np.var(kernel), 2 / (3 * 3 * 4), rtol=0.05)


@pytest.mark.parametrize(
    ("given", "dtype", "computed"),
    [
        ("float32", "bfloat16", "bfloat16"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("bfloat16", None, "float32"),  # the parameters are float32
        ("uint8", None, "float32"),
        ("float32", None, "float32"),
    ],
)
@pytest.mark.parametrize("layer", [Conv, ConvBN, SeparableConv, Dense])
def test_the_dtype_governs_the_computation(layer, given, dtype, computed):
    x = jnp.ones((1, 4, 4, 2), given)
    y, variables = jax.eval_shape(layer(3, dtype=dtype).init_with_output, jax.random.key(0), x)
    assert y.dtype == computed
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}


def test_a_convolution_in_bfloat16_is_close_to_the_one_in_float64():
    x, kernel, bias = random(2, 6, 6, 3), random(3, 3, 3, 4), random(4)
    layer = Conv(4, padding="valid", dtype=jnp.bfloat16)
    params = {"kernel": jnp.float32(kernel), "bias": jnp.float32(bias)}
    y = layer.apply({"params": params}, jnp.float32(x)).astype(jnp.float32)
    exact = slow_convolution(x, kernel, bias)
    error = np.linalg.norm(y - exact) / np.linalg.norm(exact)
    assert 1e-4 < error < 1e-2  # bfloat16 has eight significant bits: 2^-9 is 2e-3


def test_convolution_normalisation_and_activation_come_in_this_order():
    def shifted(name):
        return nn.Dense(3, name=name)

    x, kernel, bias = random(1, 4, 4, 2), random(3, 3, 2, 3), random(3)
    params = {
        "conv": {"kernel": jnp.float32(kernel), "bias": jnp.float32(bias)},
        "norm": {"kernel": 2 * np.eye(3, dtype="float32"), "bias": np.ones(3, "float32")},
    }
    layer = ConvBN(3, padding="valid", act="relu", norm=shifted, use_bias=True)
    np.testing.assert_allclose(
        layer.apply({"params": params}, jnp.float32(x)),
        np.maximum(2 * slow_convolution(x, kernel, bias) + 1, 0),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("layer", "sizes", "message"),
    [
        (Conv(4, groups=4), (5, 5, 6), "the 6 input channels do not divide into 4 groups"),
        (Conv(5, groups=2), (5, 5, 6), "the 5 features do not divide into 2 groups"),
        (Conv(4, groups=0), (5, 5, 6), "groups=0"),
        (Conv(0), (5, 5, 6), "features=0"),
        (Conv(4, stride=0), (5, 5, 6), "stride must be a positive integer.*not 0"),
        (Conv(4, stride=1.5), (5, 5, 6), "not 1.5"),
        (Conv(4, kernel=(3, 3, 3)), (5, 5, 6), "the 2 spatial dimensions, not .3, 3, 3."),
        (Conv(4, dilation=-1), (5, 5, 6), "dilation must be"),
        (Conv(4, 7, padding="valid"), (5, 9, 6), "window of 7x7 .* input of 5x9, 5x9 with"),
        (Conv(4, dilation=3, padding=0), (5, 9, 6), "window of 7x7 does not fit"),
        (Conv(4, padding="sane"), (5, 5, 6), "unknown padding 'sane'; did you mean same"),
        (Conv(4, padding=-1), (5, 5, 6), "padding must be .* not -1"),
        (Conv(4, padding=((1, 2, 3), 0)), (5, 5, 6), "2 widths or .before, after. pairs"),
        (Conv(4), (6,), r"shape \(1, 6\) is not"),
        (Conv(4), (2, 2, 2, 2, 6), "one, two or three spatial dimensions"),
        (ConvBN(4, act="rellu"), (5, 5, 6), "unknown activation 'rellu'; did you mean relu"),
    ],
)
def test_an_impossible_convolution_is_refused_in_words(layer, sizes, message):
    with pytest.raises(InputError, match=message):
        jax.eval_shape(layer.init, jax.random.key(0), jnp.zeros((1, *sizes)))


@pytest.mark.parametrize("act", ["relu", "tanh"])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("norm", [BatchNorm, None])
def test_a_unit_in_evaluation_is_its_parts_one_by_one(norm, kernel, act):
    unit = ConvBN(24, kernel, norm=norm, act=act, use_bias=True)
    draw = np.random.default_rng(0)
    x, shortcut = (jnp.asarray(draw.normal(size=(4, 9, 9, n)), jnp.float32) for n in (16, 24))
    shapes = unit.init(jax.random.key(0), x)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(draw.uniform(0.5, 1.5, leaf.shape), jnp.float32), shapes
    )
    parts, seen = unit.apply(variables, x, shortcut, mutable=["intermediates"])
    assert not seen
    scale = float(jnp.max(jnp.abs(parts)))
    whole = jax.jit(unit.apply)(variables, x, shortcut)
    np.testing.assert_allclose(whole, parts, atol=2e-6 * scale, rtol=0)

    def total(variables, x, shortcut, **options):
        found = unit.apply(variables, x, shortcut, **options)
        return jnp.sum(jnp.sin(found[0] if options else found))

    mine = jax.grad(total, (0, 1, 2))(variables, x, shortcut)
    theirs = jax.grad(total, (0, 1, 2))(variables, x, shortcut, mutable=["intermediates"])
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.max(jnp.abs(b))), rtol=0)
    _, seen = unit.apply(variables, x, capture_intermediates=True, mutable=["intermediates"])
    assert seen["intermediates"].keys() == {"conv", "__call__"} | ({"norm"} if norm else set())


def test_a_normalisation_of_another_dtype_is_not_left_out():
    x = jnp.ones((4, 9, 9, 16))
    unit = ConvBN(24, norm=lambda name: BatchNorm(dtype=jnp.bfloat16, name=name))
    assert unit.apply(unit.init(jax.random.key(0), x), x).dtype == jnp.bfloat16
    with pytest.raises(TypeError, match="given: .'bais'"):
        Conv(24).init(jax.random.key(0), x, bais=jnp.ones(24))
