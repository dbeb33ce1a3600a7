"""Filters drawn by hand, patches and feature maps."""

from __future__ import annotations

import itertools
import os

import jax
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax import convolution
from cnnjax.errors import InputError

COUNTER = itertools.count()
CASES = int(os.environ.get("CNNJAX_CASES", "24"))  # as in test_convolution.py
cases = settings(max_examples=CASES, deadline=None, derandomize=CASES < 1000, database=None)
pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize("mode", ("reflect", "constant", "nearest", "mirror", "wrap"))
def test_sobel_equals_scipy(mode):
    image = np.random.default_rng(0).integers(0, 256, (9, 12)).astype(np.uint8)
    found = convolution.sobel(image, mode)
    wide = image.astype(np.float64)
    across, down = (scipy.ndimage.sobel(wide, axis, mode=mode) for axis in (1, 0))
    np.testing.assert_allclose(found.x, across, atol=1e-3)
    np.testing.assert_allclose(found.y, down, atol=1e-3)
    np.testing.assert_allclose(found.magnitude, np.hypot(across, down), rtol=1e-6)
    np.testing.assert_allclose(found.direction, np.arctan2(down, across), atol=1e-5)


def test_a_disc_has_edges_at_its_rim_that_point_to_its_centre():
    rows, columns = np.mgrid[-20:21, -20:21]
    radius = np.hypot(rows, columns)
    gradient = convolution.sobel((radius < 12).astype(np.float32))
    found = np.argwhere(gradient.magnitude > 2)
    distances = np.hypot(*(found - 20).T)
    assert len(found) > 60
    assert abs(distances - 12).max() < 1.5
    inward = np.arctan2(-rows, -columns)[tuple(found.T)]
    turned = np.asarray(gradient.direction)[tuple(found.T)] - inward
    assert abs(np.angle(np.exp(1j * turned))).max() < 0.35


def test_the_magnitude_of_a_flat_image_has_a_gradient_of_zero():
    slope = jax.grad(lambda image: convolution.sobel(image).magnitude.sum())(np.ones((4, 4)))
    np.testing.assert_array_equal(slope, np.zeros((4, 4)))


def test_sobel_refuses_colour():
    with pytest.raises(InputError, match=r"gray image .* got the shape \(4, 4, 3\)"):
        convolution.sobel(np.ones((4, 4, 3)))


def test_filters_answer_to_what_they_are_drawn_for_and_not_to_a_plain():
    plain = np.full((9, 9), 200.0)
    assert np.allclose(convolution.correlate(plain, convolution.box(3), "reflect"), 200)
    for kernel in (convolution.EDGE, convolution.SOBEL_X, convolution.VERTICAL_LINE):
        assert np.allclose(convolution.correlate(plain, kernel, "reflect"), 0)
    bars = np.zeros((9, 9))
    bars[:, 4] = 1
    upright = abs(convolution.correlate(bars, convolution.VERTICAL_LINE, "valid")).max()
    lying = abs(convolution.correlate(bars, convolution.HORIZONTAL_LINE, "valid")).max()
    assert upright == 6 and lying == 0


@pytest.mark.parametrize("size", (3, 5, 7, 11))
def test_a_curve_filter_answers_one_to_its_arc_and_nothing_to_a_plain(size):
    kernel, drawn = convolution.curve(size), convolution.arc(size)
    assert (kernel * drawn).sum() == pytest.approx(1, abs=1e-5)
    assert kernel.sum() == pytest.approx(0, abs=1e-5)
    assert drawn[0, 0] == drawn[-1, -1] == 1 and drawn[-1, 0] == 0
    assert (kernel * drawn[::-1]).sum() < 0.6


def test_unusable_sizes_of_filters_are_refused():
    with pytest.raises(InputError, match="size must be at least 1, got 0"):
        convolution.box(0)
    with pytest.raises(InputError, match="size must be at least 3, got 2"):
        convolution.curve(2)


def test_a_5x5_image_has_the_articles_patches():
    image = np.arange(25.0).reshape(5, 5)
    assert convolution.patches(image, 3, padding="same").shape == (25, 3, 3)
    valid = convolution.patches(image, 3)
    expected = np.lib.stride_tricks.sliding_window_view(image, (3, 3)).reshape(9, 3, 3)
    np.testing.assert_array_equal(valid, expected)
    assert convolution.patches(image, 3, 2).shape == (4, 3, 3)
    assert convolution.patches(image, 3, 2, "same").shape == (9, 3, 3)


def test_patches_keep_channels_and_infinities_where_they_are():
    image = np.zeros((4, 5, 2))
    image[1, 2] = np.inf, np.nan
    found = convolution.patches(image, (2, 3), (2, 1), dilation=(1, 2))
    assert found.shape == (2, 2, 3, 2)
    slow = [image[r : r + 2, c : c + 5 : 2] for r in (0, 2) for c in (0,)]
    np.testing.assert_array_equal(convolution.patches(image, (2, 3), 2, dilation=(1, 2)), slow)
    assert np.isinf(found).sum() == 1 and np.isnan(found).sum() == 1


def test_patches_of_a_kernel_with_too_many_axes_are_refused():
    with pytest.raises(InputError, match="kernel of 2 axes does not fit an image of 1 axes"):
        convolution.patches(np.ones(4), (2, 2))
    with pytest.raises(InputError, match="larger than the input of 4"):
        convolution.patches(np.ones(4), 5)


def slow_feature_maps(image, filters, stride, low, high, dilation):
    """The sum over window and channels, written as loops."""
    axes = filters.ndim - 2
    padded = np.pad(image, [*zip(low, high, strict=True), (0, 0)])
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, filters.shape, strict=False)]
    sizes = [(n - span) // s + 1 for n, span, s in zip(padded.shape, spans, stride, strict=False)]
    maps = np.zeros((*sizes, filters.shape[-1]))
    for position in np.ndindex(*sizes):
        for tap in np.ndindex(filters.shape[:axes]):
            where = tuple(
                p * s + t * d for p, s, t, d in zip(position, stride, tap, dilation, strict=True)
            )
            maps[position] += padded[where] @ filters[tap]
    return maps


@st.composite
def layers(draw):
    axes = draw(st.sampled_from((1, 2, 3)))
    each = {1: 9, 2: 6, 3: 4}[axes]

    def numbers(least, most):
        return draw(st.tuples(*[st.integers(least, most)] * axes))

    size, kernel, stride, dilation = (
        numbers(2, each),
        numbers(1, 3),
        numbers(1, 3),
        numbers(1, 2),
    )
    low, high = numbers(0, 4), numbers(4, 5)
    channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return size, kernel, stride, dilation, low, high, channels, draw(st.integers(0, 999))


@cases
@given(layers())
def test_random_feature_maps_equal_loops(layer):
    if next(COUNTER) % 100 == 99:
        jax.clear_caches()  # as in test_convolution.py
    size, kernel, stride, dilation, low, high, (inputs, outputs), seed = layer
    rng = np.random.default_rng(seed)
    image, filters = rng.normal(size=(*size, inputs)), rng.normal(size=(*kernel, inputs, outputs))
    expected = slow_feature_maps(image, filters, stride, low, high, dilation)
    padding = tuple(zip(low, high, strict=True))
    found = convolution.feature_maps(image, filters, stride, padding, dilation)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5)
    shape = convolution.output_shape(size, kernel, padding, stride, dilation)
    assert found.shape[:-1] == shape


def test_feature_maps_correlate_and_pad_with_the_edge_on_request():
    image, kernel = np.random.default_rng(0).normal(size=(5, 6)), np.arange(6.0).reshape(2, 3)
    found = convolution.feature_maps(
        image[..., None], kernel[..., None, None], 1, ((1, 0), (1, 1)), boundary="nearest"
    )
    expected = scipy.ndimage.correlate(image, kernel, mode="nearest")
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-5)


def test_channels_that_differ_are_named():
    with pytest.raises(InputError, match="image has 3 channels and the filters have kernels for 4"):
        convolution.feature_maps(np.ones((6, 6, 3)), np.ones((3, 3, 4, 2)))
    with pytest.raises(InputError, match=r"got the shapes \(3, 3\) and \(6, 6, 3\)"):
        convolution.feature_maps(np.ones((6, 6, 3)), np.ones((3, 3)))


def test_a_layer_has_filters_of_three_dimensions():
    params = {"kernel": np.ones((5, 5, 3, 40)), "bias": np.ones(40)}
    assert convolution.layer_filters(params)[..., 7].shape == (5, 5, 3)
    with pytest.raises(InputError, match="hold no kernel, only scale"):
        convolution.layer_filters({"scale": 1})
    with pytest.raises(InputError, match=r"got \(576, 64\)"):
        convolution.layer_filters({"kernel": np.ones((576, 64))})


def test_both_layouts_become_height_width_channels():
    image = np.arange(24).reshape(2, 3, 4)
    turned = convolution.channels_last(image, "channels_first")
    np.testing.assert_array_equal(turned, np.transpose(image, (1, 2, 0)))
    np.testing.assert_array_equal(convolution.channels_last(image), image)
    gray = convolution.channels_last(image[0], "channels_first")
    np.testing.assert_array_equal(gray, image[0][..., None])
    with pytest.raises(InputError, match="channels_first or channels_last, got 'NCHW'"):
        convolution.channels_last(image, "NCHW")
    with pytest.raises(InputError, match=r"got the shape \(1, 2, 3, 4\)"):
        convolution.channels_last(image[None])


FUNCTIONS = {
    "pad": lambda image: convolution.pad(image, 2, "mirror"),
    "patches": lambda image: convolution.patches(image, 3, 2, "same", boundary="nearest"),
    "sobel": lambda image: convolution.sobel(image).magnitude,
    "circular": lambda image: convolution.circular_convolve(image, np.ones((2, 3))),
    "feature_maps": lambda image: convolution.feature_maps(
        image[..., None], np.arange(12.0).reshape(2, 3, 1, 2), (2, 1), ("same", 1), (1, 2)
    ),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_every_function_of_images_works_under_jit_vmap_and_grad(function):
    images = np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float32)
    mapped = jax.jit(jax.vmap(function))(images)
    alone = np.stack([function(image) for image in images])
    np.testing.assert_allclose(mapped, alone, atol=1e-5)
    with jax.enable_x64(True):
        image, direction = images[0].astype(np.float64), images[1].astype(np.float64)

        def total(image):
            return (function(image) ** 2).sum()

        slope = (jax.jit(jax.grad(total))(image) * direction).sum()
        step = 1e-6 * direction
        expected = (total(image + step) - total(image - step)) / 2e-6
    np.testing.assert_allclose(slope, expected, rtol=1e-6)
