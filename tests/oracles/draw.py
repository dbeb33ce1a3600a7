"""Weights and statistics under which a small mistake shows and no activation overflows."""

from __future__ import annotations

import math

import numpy as np

LOWEST = 1e-6  # of the variances; the highest is 1


def kernel(
    generator: np.random.Generator, shape: tuple[int, ...], fan_in: int, power: float = 2.0
) -> np.ndarray:
    """Draws a kernel that keeps the variance of activations (`power` 2: after a ReLU)."""
    values = generator.standard_normal(shape, np.float32)
    return values * np.float32(math.sqrt(power / fan_in))


def bias(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.standard_normal(shape, np.float32) * np.float32(0.1)


def normalisation(
    generator: np.random.Generator, channels: int, epsilon: float, gain: float, scaled: bool
) -> list[np.ndarray]:
    """Draws gamma, beta, mean and variance of a batch normalisation; gamma only where `scaled`.

    Variances are log-uniform, so that epsilon outweighs many of them. Gamma undoes what they
    amplify, up to `gain`.
    """
    variance = LOWEST ** generator.uniform(0, 1, channels)
    width = np.sqrt(variance + epsilon)
    values = [
        gain * generator.uniform(0.7, 1.3, channels) * width,
        0.3 * generator.standard_normal(channels),
        0.3 * width * generator.standard_normal(channels),
        variance,
    ]
    return [value.astype(np.float32) for value in values[0 if scaled else 1 :]]


def amplification(epsilon: float) -> float:
    """Returns the mean of 1 / (variance + epsilon), which a kernel undoes where no gamma can."""
    return math.log((LOWEST + epsilon) / (LOWEST * (1 + epsilon))) / (epsilon * -math.log(LOWEST))
