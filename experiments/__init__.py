"""Entry points: `python -m experiments.NAME --help`."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

INTERRUPTED = 130
# Functions that Python calls between two lines of others: what they raise is printed and lost.
BETWEEN = ("__del__", "_xla_gc_callback")
AGAIN = 0.01  # seconds


def ended(number: int, frame: FrameType | None) -> None:
    """Answers SIGINT before and after the main function, where nobody would catch an exception."""
    os._exit(INTERRUPTED)


def interrupted(number: int, frame: FrameType | None) -> None:
    """Answers SIGINT: ends the process at once while modules are imported, else as Python does.

    An exception there may surface in a callback of some library, where it is printed and lost, and
    the program goes on; and there is nothing yet to clean up. In a callback known for that the
    signal is put off for a moment.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(INTERRUPTED)
        if frame.f_code.co_name in BETWEEN:
            later = threading.Timer(AGAIN, os.kill, (os.getpid(), number))
            later.daemon = True
            later.start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt


@contextlib.contextmanager
def catching() -> Iterator[None]:
    """Lets SIGINT raise KeyboardInterrupt, in a process that begins with this package."""
    if signal.getsignal(signal.SIGINT) is not ended:
        yield
        return
    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, ended)


# Python imports this package before the module that `-m` names, and all that takes long later.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, ended)
    # What came while `launch.run` started the program anew has waited for this.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
