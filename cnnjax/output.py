"""Standard output that cannot be written: a full device, a pipe that nobody reads any more."""

from __future__ import annotations

import io
import os
import sys


class Lost(OSError):
    """What was printed could not be written."""


class Raw(io.FileIO):
    """A file whose errors of writing are told from those of any other file."""

    def write(self, data, /):
        try:
            return super().write(data)
        except OSError as error:
            raise Lost(error.errno, error.strerror) from None


def watch() -> None:
    """Lets errors of standard output be `Lost` from now on."""
    old = sys.stdout
    if not isinstance(old, io.TextIOWrapper):
        return
    old.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(Raw(old.fileno(), "w", closefd=False)),
        encoding=old.encoding,
        errors=old.errors,
        line_buffering=old.line_buffering,
        write_through=old.write_through,
    )


def lost(error: BaseException | None) -> Lost | None:
    """Returns the loss of standard output that an error is, or came from."""
    while error is not None and not isinstance(error, Lost):
        error = error.__cause__ or error.__context__
    return error


def discard() -> None:
    """Sends what is printed from now on, and what waits to be written, nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
