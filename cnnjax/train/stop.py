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
from types import FrameType
from typing import Any

import numpy as np
from jax import lax

from cnnjax.parallel import AXIS, Mapper, hosts

# sysexits.h EX_TEMPFAIL: not finished, but the same command will go on from here.
STOPPED = 75
ANSWER = b"\nStopping after this step, with a checkpoint; a second signal ends at once.\n"


class Stopped(Exception):
    """A run was asked to stop and has saved its state."""


class Requests:
    """Whether a stop was requested; to be called.

    Until `begin`, SIGINT interrupts as it did before, and is remembered: what it raises may surface
    in a callback of some library, where it is printed and lost. From then on a first signal is
    only remembered and answered, and a second one does what it did before.
    """

    def __init__(self):
        self.asked = self.begun = False
        self.previous: dict[int, Any] = {}

    def __call__(self) -> bool:
        return self.asked

    def listen(self, *numbers: int) -> None:
        for number in numbers:
            self.previous[number] = signal.signal(number, self.handle)

    def begin(self) -> None:
        """Says that from now on there is something to save."""
        if self.asked:  # and what it raised was lost on the way
            raise KeyboardInterrupt
        self.begun = True
        if self.previous:
            self.listen(signal.SIGTERM)

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        former = self.previous[number]
        if not self.begun:
            if callable(former):
                former(number, frame)
            return
        self.restore()
        # Not by `print`: the signal may have come in the middle of one.
        with contextlib.suppress(OSError, ValueError):
            os.write(sys.__stderr__.fileno(), ANSWER)  # pyright: ignore[reportOptionalMemberAccess]

    def restore(self) -> None:
        for number, former in self.previous.items():
            signal.signal(number, former)


@contextlib.contextmanager
def requests() -> Iterator[Requests]:
    """Yields what says whether a stop was requested.

    Outside of the main thread, where Python sets no signal handlers, none ever is.
    """
    asked = Requests()
    if threading.current_thread() is threading.main_thread():
        asked.listen(signal.SIGINT)
    try:
        yield asked
    finally:
        asked.restore()


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
