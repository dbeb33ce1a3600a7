"""Stopping on request: SIGINT and SIGTERM end a run after the step at hand, with a checkpoint."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

# sysexits.h EX_TEMPFAIL: not finished, but the same command will go on from here.
STOPPED = 75


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
