"""Convolution and correlation against numpy and scipy.

CASES random cases are drawn, 5,000 by `CNNJAX_CASES=5000 python -m pytest tests/test_convolution*`.
"""

from __future__ import annotations

import functools
import itertools
import os

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax import convolution
from cnnjax.errors import InputError

CASES = int(os.environ.get("CNNJAX_CASES", "24"))
COUNTER = itertools.count()
NUMPY_MODES = ("full", "same", "valid")
SCIPY_MODES = ("reflect", "constant", "nearest", "mirror", "wrap")
LARGEST = {1: 12, 2: 7, 3: 4}  # per axis, by the number of axes

cases = settings(max_examples=CASES, deadline=None, derandomize=CASES < 1000, database=None)
pytestmark = pytest.mark.usefixtures("quick_compilation")


def reference(name, x, kernel, mode, cval=0.0):
    """What numpy (1-D) or scipy makes of it, in float64."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    if mode not in NUMPY_MODES:
        return getattr(scipy.ndimage, name)(x, kernel, mode=mode, cval=cval)
    if x.ndim == 1 and name == "convolve" and x.size >= kernel.size:
        return np.convolve(x, kernel, mode)
    return getattr(scipy.signal, name)(x, kernel, mode, method="direct")


@st.composite
def problems(draw):
    """A function, a mode that is legal, an input and a kernel of every size, even and odd."""
    axes = draw(st.sampled_from((1, 2, 3)))
    size = st.integers(1, LARGEST[axes])
    shape, kernel = (draw(st.tuples(*[size] * axes)) for _ in range(2))
    fits = all(k <= n for n, k in zip(shape, kernel, strict=True))
    mode = draw(st.sampled_from((*NUMPY_MODES, *SCIPY_MODES)))
    if mode in ("same", "valid") and not fits:
        kernel = tuple(min(n, k) for n, k in zip(shape, kernel, strict=True))
    name = draw(st.sampled_from(("convolve", "correlate")))
    return name, mode, shape, kernel, draw(st.integers(0, 2**32 - 1))


@functools.partial(jax.jit, static_argnames=("name", "mode"))
def value_and_gradients(x, kernel, weights, name, mode):
    def total(x, kernel):
        found = getattr(convolution, name)(x, kernel, mode)
        return (found * weights).sum(), found

    (_, found), gradients = jax.value_and_grad(total, (0, 1), has_aux=True)(x, kernel)
    return found, gradients


@cases
@given(problems())
def test_random_convolutions_and_their_gradients_equal_numpy_and_scipy(problem):
    if next(COUNTER) % 100 == 99:
        jax.clear_caches()  # thousands of live executables exhaust a process's memory maps
    name, mode, shape, kernel_shape, seed = problem
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype(np.float32)
    kernel = rng.normal(size=kernel_shape).astype(np.float32)
    expected = reference(name, x, kernel, mode)
    weights = rng.normal(size=expected.shape).astype(np.float32)
    found, (by_x, by_kernel) = value_and_gradients(x, kernel, weights, name, mode)
    assert found.shape == expected.shape
    scale = reference("correlate", abs(x), abs(kernel), mode).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * max(1, scale))

    # The function is bilinear, so that central differences are exact at any step: take 1.
    def total(x, kernel):
        return (reference(name, x, kernel, mode) * weights).sum()

    dx, dk = rng.normal(size=shape), rng.normal(size=kernel_shape)
    slope = (total(x + dx, kernel) - total(x - dx, kernel)) / 2
    bound = reference("correlate", abs(dx), abs(kernel), mode).sum() * abs(weights).max()
    np.testing.assert_allclose((by_x * dx).sum(), slope, rtol=0, atol=1e-6 * max(1, bound))
    slope = (total(x, kernel + dk) - total(x, kernel - dk)) / 2
    bound = reference("correlate", abs(x), abs(dk), mode).sum() * abs(weights).max()
    np.testing.assert_allclose((by_kernel * dk).sum(), slope, rtol=0, atol=1e-6 * max(1, bound))


@cases
@given(problems())
def test_random_fft_convolutions_equal_numpy_and_scipy(problem):
    if next(COUNTER) % 100 == 99:
        jax.clear_caches()
    _, mode, shape, kernel_shape, seed = problem
    rng = np.random.default_rng(seed)
    x, kernel = rng.normal(size=shape), rng.normal(size=kernel_shape)
    expected = reference("convolve", x, kernel, mode)
    found = convolution.fft_convolve(x, kernel, mode)
    assert found.shape == expected.shape
    scale = np.linalg.norm(x) * np.linalg.norm(kernel) * kernel.size
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * max(1, scale))


@pytest.mark.parametrize("mode", (*NUMPY_MODES, *SCIPY_MODES))
@pytest.mark.parametrize("name", ("convolve", "correlate"))
def test_double_precision_is_kept(name, mode):
    x, kernel = np.random.default_rng(0).normal(size=(2, 5, 6))[:, :, :4], np.eye(2, 3)[None]
    with jax.enable_x64(True):
        found = getattr(convolution, name)(x, kernel, mode, cval=0.7)
    assert found.dtype == np.float64
    expected = reference(name, x, kernel, mode, cval=0.7)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("mode", NUMPY_MODES)
@pytest.mark.parametrize("kernel", ([1, 0, 2.0], [np.inf, 1], [1, -np.inf, np.inf], [np.nan, 1, 0]))
def test_what_is_not_finite_goes_where_numpy_puts_it(mode, kernel):
    for x in ([1.0, np.nan, 2, np.inf, 3, 0, -1, -np.inf], np.arange(-3.0, 3)):
        with np.errstate(invalid="ignore"):
            expected = np.convolve(x, kernel, mode)
        np.testing.assert_array_equal(convolution.convolve(x, kernel, mode), expected)


@pytest.mark.parametrize("first", (np.inf, -np.inf, np.nan))
def test_a_kernel_that_is_not_finite_meets_only_what_is_there(first):
    image, kernel = np.arange(42.0).reshape(6, 7) - 5, np.ones((3, 4))
    kernel[0, 0], kernel[1, 1] = first, np.inf
    expected = np.zeros((8, 10))
    with np.errstate(invalid="ignore"):
        for (row, column), pixel in np.ndenumerate(image):
            expected[row : row + 3, column : column + 4] += pixel * kernel
    np.testing.assert_array_equal(convolution.convolve(image, kernel), expected)


def test_an_asymmetric_kernel_tells_convolution_from_correlation():
    x, kernel = np.array([0.0, 1, 0, 0]), np.array([1.0, 2, 3])
    assert convolution.convolve(x, kernel).tolist() == [0, 1, 2, 3, 0, 0]
    assert convolution.correlate(x, kernel).tolist() == [0, 3, 2, 1, 0, 0]
    flipped = convolution.correlate(x, kernel[::-1])
    assert flipped.tolist() == convolution.convolve(x, kernel).tolist()


@pytest.mark.parametrize("dtype", (np.uint8, np.int8, np.int16, np.int64, bool, np.float16))
def test_narrow_numbers_are_computed_in_floating_point(dtype):
    x = np.full((3, 3), 100).astype(dtype)
    expected = reference("convolve", x, x, "full")
    found = convolution.convolve(x, x)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_integers_past_32_bits_do_not_wrap():
    assert convolution.convolve(np.array([2**40]), [2]).tolist() == [2.0**41]


def test_it_works_under_jit_and_vmap():
    rng = np.random.default_rng(0)
    x, kernels = rng.normal(size=(3, 9)), rng.normal(size=(3, 4))
    mapped = jax.jit(jax.vmap(lambda a, b: convolution.convolve(a, b, "same")))(x, kernels)
    expected = [np.convolve(a, b, "same") for a, b in zip(x, kernels, strict=True)]
    np.testing.assert_allclose(mapped, expected, atol=1e-6)
    one_kernel = jax.vmap(convolution.correlate, (0, None))(x, kernels[0])
    expected = [np.correlate(a, kernels[0], "full") for a in x]
    np.testing.assert_allclose(one_kernel, expected, atol=1e-6)


@pytest.mark.parametrize("mode", ("same", "mirror"))
def test_second_derivatives_are_finite_differences_of_the_first(mode):
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        arguments = (jnp.asarray(rng.normal(size=(4, 5))), jnp.asarray(rng.normal(size=(3, 2))))
        function = functools.partial(convolution.convolve, mode=mode)
        jax.test_util.check_grads(function, arguments, order=2, modes=("rev",))


def test_a_kernel_larger_than_the_input_is_refused_where_the_size_is_in_doubt():
    for mode in ("same", "valid"):
        with pytest.raises(InputError, match=r"\(4,\) on an input of \(3,\)"):
            convolution.convolve(np.ones(3), np.ones(4), mode)
    np.testing.assert_allclose(convolution.convolve(np.ones(3), np.ones(4)), [1, 2, 3, 3, 2, 1])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    (
        ((np.ones((3, 3)), np.ones(3)), "same 1, 2 or 3 dimensions, got 2 and 1"),
        ((np.ones((1,) * 4), np.ones((1,) * 4)), "got 4 and 4"),
        ((np.float32(1), np.float32(1)), "got 0 and 0"),
        ((np.ones(0), np.ones(3)), "the input is empty"),
        ((np.ones(3), np.ones((0,))), "the kernel is empty"),
        ((np.ones(3), np.ones(2), "sane"), "unknown mode 'sane'; did you mean same"),
        ((np.ones(3) * 1j, np.ones(2)), "must be real"),
        ((["a", "b"], np.ones(2)), "array of numbers"),
        (([[1, 2], [3]], np.ones(2)), "array of numbers"),
        ((None, np.ones(2)), "array of numbers"),
    ),
)
def test_unusable_arguments_are_named(arguments, sentence):
    for function in (convolution.convolve, convolution.correlate, convolution.fft_convolve):
        with pytest.raises(InputError, match=sentence):
            function(*arguments)


@pytest.mark.parametrize("rule", SCIPY_MODES)
def test_padding_goes_on_past_the_length_of_the_input(rule):
    x = np.arange(3.0)
    words = {"reflect": "symmetric", "nearest": "edge", "mirror": "reflect"}
    expected = np.pad(x, (4, 7), mode=words.get(rule, rule))
    np.testing.assert_array_equal(convolution.pad(x, ((4, 7),), rule), expected)


def test_zero_padding_and_same_value_padding_have_the_articles_values():
    image = np.array([[1.0, 2], [3, 4]])
    zeros = [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0], [0, 0, 0, 0]]
    edges = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert convolution.pad(image, 1).tolist() == zeros
    assert convolution.pad(image, 1, "nearest").tolist() == edges
    with pytest.raises(InputError, match="did you mean nearest"):
        convolution.pad(image, 1, "nearst")
    with pytest.raises(InputError, match="padding must be at least 0, got -1"):
        convolution.pad(image, -1)
