"""Stopping on request: SIGINT and SIGTERM end a run after the step at hand, with a checkpoint.

Several processes stop after the same step, whichever of them heard the signal.
"""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
from jax import lax

from cnnjax.parallel import AXIS, Mapper, hosts

# sysexits.h EX_TEMPFAIL: not finished, but the same command will go on from here.
STOPPED = 75
ANSWER = b"\nStopping after this step, with a checkpoint; a second signal ends at once.\n"


class Stopped(Exception):
    """A run was asked to stop and has saved its state."""


@contextlib.contextmanager
def requests() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether a stop was requested; a second signal ends at once.

    Outside of the main thread, where Python sets no signal handlers, none ever is.
    """
    asked: list[int] = []
    previous: dict[int, object] = {}

    def handle(number: int, _) -> None:
        asked.append(number)
        restore()
        # Not by `print`: the signal may have come in the middle of one.
        with contextlib.suppress(OSError, ValueError):
            os.write(sys.__stderr__.fileno(), ANSWER)  # pyright: ignore[reportOptionalMemberAccess]

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, handle)
    try:
        yield lambda: bool(asked)
    finally:
        restore()


class Vote:
    """Whether to stop, to be asked once before each step; the same on every process.

    A single process answers for itself. Several sum up what each of them heard along with the step,
    and read the sum when the step `late` steps before is done: nothing waits for it.
    """

    def __init__(self, mapper: Mapper, requested: Callable[[], bool], late: int):
        self.mapper, self.requested, self.late = mapper, requested, late
        self.pending: collections.deque = collections.deque()
        self.count = mapper.map(lambda asked: lax.psum(asked.sum(), AXIS), split=(True,))

    def __call__(self) -> bool:
        if hosts.count() == 1:
            return self.requested()
        asked = np.full(self.mapper.local, self.requested(), np.int32)
        self.pending.append(self.count(self.mapper.split(asked)))
        return len(self.pending) > self.late and int(self.pending.popleft()) > 0
