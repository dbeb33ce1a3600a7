"""The end of a process: waits for what XLA computes, while Python can still answer it.

XLA computes in threads of its own, after the call that asked has returned. One that calls the
handler, which is Python, while the interpreter goes down is never answered, and the interpreter
waits for that thread.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp

# Seconds between two looks, and those without a call after which none is believed to come: results
# that another thread asked for and dropped cannot be looked at.
LOOK, QUIET = 0.002, 0.1


class Calls:
    """The threads that are in a call of the handler, and when the last call began or ended."""

    def __init__(self) -> None:
        self.inside: set[int] = set()
        self.last = 0.0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Counts a call, for as long as it takes."""
        self.inside.add(threading.get_ident())
        try:
            yield
        finally:
            self.last = time.monotonic()
            self.inside.discard(threading.get_ident())


calls = Calls()


def wait_at_exit() -> None:
    """Has this process wait before its interpreter ends; one that is forked off it does not."""
    atexit.register(wait, os.getpid())


def wait(process: int) -> None:
    """Waits until nothing is under way on a CPU; Ctrl-C ends the process meanwhile."""
    if os.getpid() != process:
        return
    try:
        last = [after_all(device) for device in jax.local_devices(backend="cpu")]
        for array in (*jax.live_arrays("cpu"), *last):
            while not ready(array):
                time.sleep(LOOK)
        while calls.inside or time.monotonic() - calls.last < QUIET:
            time.sleep(LOOK)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(process, signal.SIGINT)


def after_all(device: jax.Device) -> jax.Array:
    """Returns an array that is there after all that this thread has asked of a device."""
    return jnp.add(jax.device_put(0, device), 1)


def ready(array: jax.Array) -> bool:
    """Returns whether an array is computed, or was given away meanwhile."""
    try:
        return array.is_ready()
    except RuntimeError:
        return array.is_deleted()
