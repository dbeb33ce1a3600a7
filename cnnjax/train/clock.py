"""Where the seconds of a run go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

SECTIONS = ("import", "data", "compile", "train", "evaluate", "checkpoint")


class Clock:
    """Seconds by section; sections do not nest."""

    def __init__(self):
        self.seconds: dict[str, float] = dict.fromkeys(SECTIONS, 0.0)

    @contextlib.contextmanager
    def section(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start
