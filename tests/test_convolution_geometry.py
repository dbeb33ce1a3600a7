"""Sizes, fields and counts against what is executed, for every small combination."""

from __future__ import annotations

import itertools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnjax import convolution
from cnnjax.convolution import geometry
from cnnjax.errors import InputError


def executed_size(n, k, padding, s, d):
    """The length that XLA's own convolution has, traced and not computed; 0 where it has none."""

    def run(x, w):
        return lax.conv_general_dilated(x, w, (s,), padding, rhs_dilation=(d,))

    return jax.eval_shape(run, jnp.zeros((1, 1, n)), jnp.zeros((1, 1, k))).shape[-1]


@pytest.mark.parametrize("s", (1, 2, 3, 4))
@pytest.mark.parametrize("d", (1, 2, 3))
def test_every_legal_output_size_is_that_of_the_executed_operation(s, d):
    for n, k, p in itertools.product(range(1, 10), range(1, 6), (0, 1, 2, 3, (0, 1), (2, 0))):
        widths = [(p, p)] if isinstance(p, int) else [p]
        expected = executed_size(n, k, widths, s, d)
        if d * (k - 1) + 1 > n + sum(widths[0]):
            assert expected == 0
            with pytest.raises(InputError, match="larger than the input"):
                convolution.output_size(n, k, p, s, d)
        else:
            assert convolution.output_size(n, k, p, s, d) == expected


@pytest.mark.parametrize("s", (1, 2, 3, 4))
@pytest.mark.parametrize("d", (1, 2, 3))
def test_every_same_padding_is_that_of_xla(s, d):
    for n, k in itertools.product(range(1, 12), range(1, 6)):
        expected = lax.padtype_to_pads((n,), (d * (k - 1) + 1,), (s,), "SAME")[0]
        assert convolution.padding_widths(n, k, "same", s, d) == tuple(expected)
        size = convolution.output_size(n, k, "same", s, d)
        assert size == executed_size(n, k, "SAME", s, d) == math.ceil(n / s)


def test_sizes_computed_equal_sizes_promised_on_every_small_image():
    for n, k, p, s in itertools.product((3, 4, 5), (1, 2, 3), ("valid", "same", "full", 1), (1, 2)):
        maps = convolution.feature_maps(np.ones((n, n + 1, 1)), np.ones((k, k, 1, 1)), s, p)
        assert maps.shape[:2] == convolution.output_shape((n, n + 1), k, p, s)


def test_the_articles_sizes():
    assert convolution.output_size(6, 3) == 4
    assert convolution.output_size(6, 3, p=1) == 6
    assert convolution.output_size(128, 5) == 124
    assert convolution.output_shape((7, 9), (3, 5)) == (5, 5)
    chain = [28]
    for k, s in ((3, 1), (2, 2), (3, 1), (2, 2), (3, 1)):
        chain.append(convolution.output_size(chain[-1], k, s=s))
    assert chain == [28, 26, 13, 11, 5, 3]


def test_a_larger_stride_never_makes_a_larger_map():
    for n, k in itertools.product(range(5, 40), range(1, 6)):
        sizes = [convolution.output_size(n, k, s=s) for s in range(1, 8)]
        assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    (
        ((0, 3), "input size must be at least 1, got 0"),
        ((6, 0), "kernel size must be at least 1, got 0"),
        ((6, 3, -1), "padding must be at least 0, got -1"),
        ((6, 3, 0, 0), "stride must be at least 1, got 0"),
        ((6, 3, 0, -2), "stride must be at least 1, got -2"),
        ((6, 3, 0, 1, 0), "dilation must be at least 1, got 0"),
        ((6.0, 3), "input size must be a whole number, got 6.0"),
        ((6, True), "kernel size must be a whole number, got True"),
        ((6, "3"), "kernel size must be a whole number, got '3'"),
        ((6, 3, "sane"), "unknown padding 'sane'; did you mean same"),
        ((6, 3, (1, 2, 3)), "padding needs 2 numbers, one per axis, got 3"),
        ((2, 3), "kernel of size 3 is larger than the input of 2"),
        ((2, 7, 1), r"kernel of size 7 is larger than the input of 2 \(padded to 4\)"),
        (
            (4, 3, 0, 1, 2),
            r"of size 3 \(it spans 5 with dilation 2\) is larger",
        ),
    ),
)
def test_unusable_numbers_are_named(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        convolution.output_size(*arguments)


def test_a_wrong_number_of_axes_is_named():
    with pytest.raises(InputError, match="stride needs 2 numbers, one per axis, got 3"):
        convolution.output_shape((6, 6), 3, 0, (1, 1, 1))
    with pytest.raises(InputError, match="padding needs 2 entries, one per axis, got 1"):
        convolution.output_shape((6, 6), 3, (1,))


def test_numpy_integers_are_integers():
    assert convolution.output_size(np.int64(6), np.int32(3), np.int8(1)) == 6


STACKS = (
    [(3, 1)],
    [(3, 1), (3, 1), (2, 2), (3, 1)],
    [(5, 2, 2), (3, 1, 1), (3, 2, 0, 2)],
    [(1, 3, 0), (2, 2, 1), (4, 1, 3)],
    [(2, 2), (2, 2), (2, 2)],
)


@pytest.mark.parametrize("stack", STACKS)
def test_a_receptive_field_is_where_the_gradient_is_not_zero(stack):
    def run(x):
        for layer in stack:
            k, s, p, d = geometry.Window(*layer)
            x = lax.conv_general_dilated(x, jnp.ones((1, 1, k)), (s,), [(p, p)], rhs_dilation=(d,))
        return x[0, 0]

    field = convolution.receptive_field(stack)
    x = jnp.ones((1, 1, 60))
    outputs = run(x).size
    for i in (outputs // 2, outputs // 2 + 1):
        seen = np.flatnonzero(jax.grad(lambda x, i=i: run(x)[i])(x)[0, 0])
        assert seen[0] == field.start + i * field.stride
        assert seen[-1] - seen[0] + 1 == field.size


def test_receptive_fields_refuse_what_is_no_layer():
    with pytest.raises(InputError, match="stride must be at least 1, got 0"):
        convolution.receptive_field([(3, 0)])


@pytest.mark.parametrize("groups", (1, 2, 4))
@pytest.mark.parametrize("bias", (True, False))
@pytest.mark.parametrize("kernel", ((5,), (3, 5), (2, 3, 1)))
def test_a_parameter_count_is_the_size_of_the_tree(kernel, bias, groups):
    layer = nn.Conv(8, kernel, use_bias=bias, feature_group_count=groups)
    image = jnp.zeros((1, *[6] * len(kernel), 4))
    tree = jax.eval_shape(layer.init, jax.random.key(0), image)
    size = sum(leaf.size for leaf in jax.tree.leaves(tree))
    assert convolution.parameter_count(kernel, 4, 8, bias, groups) == size


def test_the_articles_parameter_counts():
    assert convolution.parameter_count(5, 3, 40) == 3_040
    assert convolution.parameter_count((3, 3), 1, 32) == 320
    assert convolution.parameter_count(3, 32, 64) == 18_496
    assert convolution.parameter_count((), 576, 64) == 36_928
    with pytest.raises(InputError, match="channels must divide by groups, got 3 channels, 2"):
        convolution.parameter_count(3, 3, 4, groups=2)
    with pytest.raises(InputError, match="filters must be at least 1, got 0"):
        convolution.parameter_count(3, 3, 0)


@pytest.mark.parametrize(
    ("shape", "kernel", "padding", "stride", "dilation", "groups"),
    (
        ((9,), (3,), "valid", 1, 1, 1),
        ((9, 8), (3, 2), "same", (2, 1), 1, 1),
        ((9, 8), (3, 3), 2, 2, 2, 2),
        ((4, 5, 6), (3, 2, 1), "full", 1, 1, 4),
    ),
)
def test_flops_are_those_that_xla_counts(shape, kernel, padding, stride, dilation, groups):
    axes = len(shape)
    strides = geometry.per_axis(stride, axes, "stride")
    dilations = geometry.per_axis(dilation, axes, "dilation")
    widths = [
        geometry.padding_widths(n, k, padding, s, d)
        for n, k, s, d in zip(shape, kernel, strides, dilations, strict=True)
    ]

    def run(x, w):
        return lax.conv_general_dilated(
            x, w, strides, widths, rhs_dilation=dilations, feature_group_count=groups
        )

    x, w = jnp.zeros((1, 4, *shape)), jnp.zeros((8, 4 // groups, *kernel))
    analysis = jax.jit(run).lower(x, w).cost_analysis()
    options = dict(padding=padding, stride=stride, dilation=dilation, groups=groups)
    exact = convolution.flop_count(shape, kernel, 4, 8, count_padding=False, **options)
    assert exact == analysis["flops"]
    outputs = math.prod(jax.eval_shape(run, x, w).shape)
    counted = convolution.multiply_adds(shape, kernel, 4, 8, **options)
    assert counted == outputs * 4 // groups * math.prod(kernel)
    assert counted >= exact / 2
