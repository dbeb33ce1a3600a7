"""The convolution theorem, and when the FFT is the faster way."""

from __future__ import annotations

import time

import jax
import numpy as np
import pytest
import scipy.signal

from cnnjax import convolution
from cnnjax.errors import InputError


@pytest.mark.parametrize("shape", ((8,), (9,), (5, 6), (4, 3, 5)))
def test_a_circular_convolution_equals_the_definition(shape):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, *shape))
    expected = np.zeros(shape)
    for shift in np.ndindex(shape):
        expected += kernel[shift] * np.roll(x, shift, range(len(shape)))
    found = convolution.circular_convolve(x, kernel)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    theorem = np.fft.fftn(x) * np.fft.fftn(kernel)
    np.testing.assert_allclose(np.fft.fftn(found), theorem, atol=1e-4)


def test_a_smaller_kernel_counts_as_filled_up_with_zeros_and_a_larger_is_refused():
    x = np.array([1.0, 2, 3, 4])
    np.testing.assert_allclose(convolution.circular_convolve(x, [0, 1]), [4, 1, 2, 3], atol=1e-6)
    with pytest.raises(InputError, match=r"\(4,\); the kernel of \(5,\) is larger"):
        convolution.circular_convolve(x, np.ones(5))


@pytest.mark.parametrize("mode", convolution.MODES)
def test_both_ways_agree_under_jit_and_have_the_same_gradient(mode):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(11, 13)), rng.normal(size=(4, 3))

    def gradient(way):
        return jax.jit(jax.grad(lambda k: (way(x, k, mode) ** 2).sum()))(kernel)

    direct, fourier = gradient(convolution.convolve), gradient(convolution.fft_convolve)
    np.testing.assert_allclose(direct, fourier, rtol=1e-4)


def test_the_cheaper_way_by_count_follows_the_kernel():
    ways = [convolution.operations((512, 512), (k, k)).cheaper for k in (1, 3, 5, 15, 63)]
    assert ways == ["direct", "direct", "direct", "fft", "fft"]
    assert convolution.operations((100_000,), (3,)).cheaper == "direct"
    assert convolution.operations((100_000,), (1000,)).cheaper == "fft"


def test_the_count_of_the_direct_way_is_that_of_the_overlaps():
    shape, kernel = (5, 4), (3, 2)
    overlaps = scipy.signal.convolve(np.ones(shape), np.ones(kernel)).sum()
    assert convolution.operations(shape, kernel).direct == 2 * round(overlaps)


@pytest.mark.parametrize(("shape", "kernel"), (((256, 256), (3, 3)), ((256, 256), (31, 31))))
def test_the_cheaper_way_is_the_faster_one_where_the_counts_are_far_apart(shape, kernel):
    x, kernel = np.ones(shape, np.float32), np.ones(kernel, np.float32)

    def seconds(way):
        run = jax.jit(way)
        run(x, kernel).block_until_ready()
        times = []
        for _ in range(5):
            start = time.perf_counter()
            run(x, kernel).block_until_ready()
            times.append(time.perf_counter() - start)
        return min(times)

    direct, fft = seconds(convolution.convolve), seconds(convolution.fft_convolve)
    faster = "fft" if fft < direct else "direct"
    assert faster == convolution.operations(x.shape, kernel.shape).cheaper, (direct, fft)
