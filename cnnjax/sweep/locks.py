"""Locks of files that end with the process that holds them, however it ends.

They are seen by all machines where the file system passes them on: NFS 4, or Lustre mounted with
`flock`. A machine that dies loses its locks when its lease there ends, after one or two minutes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


def taken(path: Path) -> TextIO | None:
    """Returns the open file whose lock is this process's own now; None where somebody holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a+")  # noqa: SIM115 - held until it is closed
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Waits for the lock of a file, and holds it."""
    with open(path, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class JournalLock:
    """What Optuna's journal asks for before it appends a line.

    Its own locks are files that outlive a killed holder, and a line that a full disk or a kill has
    torn makes the journal unreadable with the next one. This lock dies with its holder, and cuts
    off half a line.
    """

    def __init__(self, path: Path):
        self.path = path
        self.held = contextlib.ExitStack()

    def acquire(self) -> bool:
        self.held.enter_context(turn(self.path.with_name(self.path.name + ".lock")))
        with open(self.path, "rb+") as file:
            cut_torn_line(file)
        return True

    def release(self) -> None:
        self.held.close()


def cut_torn_line(file) -> None:
    """Removes what stands behind the last end of a line."""
    end = file.seek(0, os.SEEK_END)
    if not end:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    start = max(end - 2**20, 0)
    file.seek(start)
    file.truncate(start + file.read().rfind(b"\n") + 1)


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Holds the lock of a file together with all who hold it in this way."""
    with open(path, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield
