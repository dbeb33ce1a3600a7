"""What a contestant answers with: a network ready to be trained and used."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """Every function returns when the device has finished.

    Attributes:
      parameters: trainable ones.
      train: takes so many steps and returns the loss of the last, or the mean of the last few.
      forward: computes the logits of so many batches.
      pipeline: makes so many batches ready for a step, and takes none.
      epoch: trains one shuffled epoch and returns the accuracy on the test split.
      device_memory: the most bytes in use on an accelerator; None without one.
    """

    parameters: int
    train: Callable[[int], float]
    forward: Callable[[int], None]
    pipeline: Callable[[int], None]
    epoch: Callable[[], float]
    device_memory: Callable[[], int | None]


def cores() -> int:
    """Returns how many threads may compute at once: every contestant uses them all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak(product: Callable[[], None], flops: float, seconds: float) -> float:
    """Returns the FLOP/s of the fastest run of `product`, repeated for `seconds`."""
    product()
    fastest, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        product()
        now = time.perf_counter()
        fastest = min(fastest, now - start)
        if now > end:
            return flops / fastest
