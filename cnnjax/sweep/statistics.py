"""Means with their uncertainty, over runs that differ in their seed only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Returns the mean and half the width of its confidence interval, by Student's t.

    The half is NaN for a single value, which says nothing about its spread.
    """
    from scipy import stats

    count = len(values)
    mean = float(np.mean(values))
    if count < 2:
        return mean, math.nan
    spread = float(np.std(values, ddof=1)) / math.sqrt(count)
    return mean, spread * float(stats.t.ppf((1 + confidence) / 2, count - 1))
