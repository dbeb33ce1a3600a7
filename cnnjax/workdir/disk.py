"""What happens when the disk is full."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from cnnjax import output
from cnnjax.errors import Failure
from cnnjax.workdir import checkpoint

NUMBERS = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def full_disk_is_a_failure(workdir: Path) -> Iterator[None]:
    """Turns whatever a full disk or quota has led to inside into a Failure that says so.

    Half a checkpoint is removed, to leave the finished ones and some room.
    """
    try:
        yield
    except Exception as error:
        if not tells_of_a_full_disk(error) or output.lost(error):
            raise
        checkpoint.clear(workdir)
        steps = checkpoint.steps(workdir)
        last = f"The checkpoint of step {steps[-1]} is intact" if steps else "Nothing was saved"
        raise Failure(
            f"no space is left on the disk of {workdir}. {last}: make room, and the same command "
            "goes on"
        ) from error


def tells_of_a_full_disk(error: BaseException | None) -> bool:
    """Returns whether an error, or what it came from, says that no space was left.

    TensorStore has it in the text of a ValueError only.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in NUMBERS:
            return True
        if any(os.strerror(number) in str(error) for number in NUMBERS):
            return True
        error = error.__cause__ or error.__context__
    return False
