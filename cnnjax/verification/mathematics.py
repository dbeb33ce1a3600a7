"""Requirements 1.1, the first half: convolution of arrays, as S3 and S4 work it out."""

from __future__ import annotations

import numpy as np

from cnnjax import compiler, convolution
from cnnjax.verification.check import Check, Outcome, agree, below, close, difference

# S3's example: a step, and the mean of three.
STEP = np.array([0.0] * 5 + [1.0] * 5)
MEAN = np.array([1 / 3] * 3)


def valid_mode(convolve=convolution.convolve) -> Outcome:
    return close([0, 0, 0, 1 / 3, 2 / 3, 1, 1, 1], convolve(STEP, MEAN, "valid"))


def full_mode(convolve=convolution.convolve) -> Outcome:
    expected = [0, 0, 0, 0, 0, 1 / 3, 2 / 3, 1, 1, 1, 2 / 3, 1 / 3]
    return close(expected, convolve(STEP, MEAN, "full"))


def same_mode(convolve=convolution.convolve) -> Outcome:
    expected = [0, 0, 0, 0, 1 / 3, 2 / 3, 1, 1, 1, 2 / 3]
    return close(expected, convolve(STEP, MEAN, "same"))


def reflected_ends(convolve=convolution.convolve) -> Outcome:
    return close([0, 0, 0, 0, 1 / 3, 2 / 3, 1, 1, 1, 1], convolve(STEP, MEAN, "reflect"))


def blurred_block(convolve=convolution.convolve) -> Outcome:
    image = np.zeros((7, 7))
    image[2:5, 2:5] = 1
    ninths = [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 1, 2, 3, 2, 1, 0],
        [0, 2, 4, 6, 4, 2, 0],
        [0, 3, 6, 9, 6, 3, 0],
        [0, 2, 4, 6, 4, 2, 0],
        [0, 1, 2, 3, 2, 1, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]
    expected = np.array(ninths) / 9
    return close(expected, convolve(image, np.full((3, 3), 1 / 9), "reflect"))


def boundary_rules(convolve=convolution.convolve, correlate=convolution.correlate) -> Outcome:
    import scipy.ndimage  # a requirement of scikit-learn, which holds the digits

    rules = ("reflect", "constant", "nearest", "mirror", "wrap")

    @compiler.jit
    def ours(x, kernel):
        return {
            "convolve": [convolve(x, kernel, rule, cval=0.7) for rule in rules],
            "correlate": [correlate(x, kernel, rule, cval=0.7) for rule in rules],
        }

    rng = np.random.default_rng(0)
    worst = 0.0
    for shape, kernel_shape in (((9,), (3,)), ((9,), (4,)), ((6, 7), (3, 5)), ((6, 7), (2, 4))):
        x, kernel = rng.normal(size=shape), rng.uniform(size=kernel_shape) / np.prod(kernel_shape)
        for name, found in ours(x, kernel).items():
            for rule, one in zip(rules, found, strict=True):
                theirs = getattr(scipy.ndimage, name)(x, kernel, mode=rule, cval=0.7)
                worst = max(worst, difference(one, theirs))
    return below(1e-6, worst, "difference from scipy")


def convolution_theorem(
    circular=convolution.circular_convolve,
    linear=convolution.fft_convolve,
    direct=convolution.convolve,
) -> Outcome:
    rng = np.random.default_rng(0)
    worst = 0.0
    for shape, smaller in (((16,), (5,)), ((8, 9), (3, 4))):
        x, kernel = rng.normal(size=(2, *shape)) / np.sqrt(np.prod(shape))
        product = np.fft.fftn(x) * np.fft.fftn(kernel)
        worst = max(worst, difference(np.fft.fftn(np.asarray(circular(x, kernel))), product))
        kernel = kernel[tuple(slice(n) for n in smaller)]
        size = [m + n - 1 for m, n in zip(shape, smaller, strict=True)]
        axes = range(len(size))
        transforms = np.fft.rfftn(x, size, axes) * np.fft.rfftn(kernel, size, axes)
        padded = np.fft.irfftn(transforms, size, axes)
        worst = max(worst, difference(linear(x, kernel), padded))
        worst = max(worst, difference(direct(x, kernel), padded))
    return below(1e-5, worst)


def any_dimension(convolve=convolution.convolve) -> Outcome:
    expected, computed = [], []
    for axes in (1, 2, 3):
        impulse, kernel = np.zeros((3,) * axes), np.arange(2.0**axes).reshape((2,) * axes)
        impulse[(1,) * axes] = 1
        answer = np.zeros((4,) * axes)
        answer[(slice(1, 3),) * axes] = kernel
        expected.append(answer)
        computed.append(convolve(impulse, kernel))
    passed = all(map(agree, expected, computed, (1e-6,) * 3))
    return Outcome([(4,), (4, 4), (4, 4, 4)], [np.shape(found) for found in computed], passed)


def flip(convolve=convolution.convolve, correlate=convolution.correlate) -> Outcome:
    impulse, kernel = np.array([0.0, 1, 0]), np.array([1.0, 2, 3])
    expected = {"convolve": [1, 2, 3], "correlate": [3, 2, 1]}
    computed = {
        "convolve": convolve(impulse, kernel, "same"),
        "correlate": correlate(impulse, kernel, "same"),
    }
    return close(expected, computed)


CHECKS = (
    Check("C01", "S3", "1-D convolution, valid: a step of 10 and a mean of 3 give 8", valid_mode),
    Check("C02", "S3", "the same, full: 10 + 3 - 1 = 12 numbers", full_mode),
    Check("C03", "S3", "the same, same: 10 numbers, the last 2/3", same_mode),
    Check("C04", "S3", "scipy's ndimage default reflects: the last is 1, not 2/3", reflected_ends),
    Check("C05", "S3", "2-D: a 3x3 block of ones under a 3x3 mean, 7x7 ninths", blurred_block),
    Check("C06", "S3", "all boundary modes of ndimage, 1-D, 2-D, odd, even", boundary_rules),
    Check("C12", "S4", "FT(f*g) = FT(f).FT(g); linear with zeros to M+N-1", convolution_theorem),
    Check("C17", "S3", "numpy convolves in 1-D only; here 1, 2 and 3", any_dimension),
    Check("C18", "", "convolution flips [1, 2, 3], a network does not", flip),
)
