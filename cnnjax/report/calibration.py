"""Whether a network is right as often as it believes: Guo et al. 2017 (arXiv 1706.04599)."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import optimize, special

BINS = 15
COOLEST, HOTTEST = 0.02, 50.0


@dataclasses.dataclass(frozen=True, eq=False)
class Reliability:
    """Examples by their confidence in `BINS` bins of equal width, from 0 to 1.

    Attributes:
      count: examples in each bin.
      confidence, accuracy: their means there; NaN in empty bins.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error, equation 3, in [0, 1]."""
        gaps = np.nan_to_num(np.abs(self.confidence - self.accuracy))
        return float((self.count * gaps).sum() / max(self.count.sum(), 1))


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> Reliability:
    """Returns the bins of predictions; bin b holds confidences in (b / bins, (b + 1) / bins]."""
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    some = np.where(count, count, np.nan)
    sums = (np.bincount(place, weights, bins) for weights in (confidence, correct))
    return Reliability(count, *(total / some for total in sums))


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns what logits are to be divided by, so that their cross entropy is least (section 4.2).

    Above 1 the network is too sure of itself. In [0.02, 50].
    """
    logits = logits.astype(np.float64)

    def loss(logarithm: float) -> float:
        logs = special.log_softmax(logits / np.exp(logarithm), axis=1)
        return -float(np.take_along_axis(logs, labels[:, None], 1).mean())

    bounds = np.log([COOLEST, HOTTEST])
    found = optimize.minimize_scalar(loss, bounds=bounds, method="bounded")
    return float(np.exp(found.x))  # pyright: ignore[reportAttributeAccessIssue]
