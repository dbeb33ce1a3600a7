"""Several processes, on one machine or many, that work on one run.

Every process runs the same program. Whatever leads to a collective operation must be the same on
all of them; what one learns alone (a signal, a damaged file) is shared before it is acted upon.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from cnnjax.errors import Failure, InputError

# Seconds without a sign of life after which a process counts as dead, and the others end.
HEARTBEAT = 30
# Bytes of a message that goes along with a failure.
MESSAGE = 400
UNJOINED = (
    "the processes of this run did not find each other: is each started, with the same "
    "--coordinator? --num_processes=1 runs this one alone"
)


class Elsewhere(Failure):
    """Another process failed at what this one could do."""


def start(coordinator: str | None, processes: int | None, process: int | None, wait: int) -> None:
    """Joins the processes of a run; call it before JAX is used for anything else.

    Without arguments JAX looks for a SLURM or Open MPI job, a Kubernetes job or a TPU pod; outside
    of those, and with `processes` 1, this process is alone and nothing happens.

    Args:
      coordinator: "host:port" of the first process, where the others find it.
      processes: how many there are.
      process: which this is, from 0.
      wait: seconds to wait for the others.

    Raises InputError when the arguments do not fit. When the others do not come, a line on standard
    error says so and the process ends with status 2.
    """
    given = {"coordinator": coordinator, "num_processes": processes, "process_id": process}
    missing = [name for name, value in given.items() if value is None]
    if processes == 1 or (len(missing) == 3 and os.environ.get("SLURM_NTASKS") == "1"):
        return
    if 0 < len(missing) < 3:
        raise InputError(f"--{missing[0]} is missing: give all of {', '.join(given)}, or none")
    if not missing:
        check(coordinator or "", processes or 0, process or 0)
    # Where the others do not come, JAX aborts the process with a page of C++ frames.
    watchdog = threading.Timer(wait, give_up, (wait,))
    watchdog.daemon = True
    watchdog.start()
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            initialization_timeout=wait + 60,
            heartbeat_timeout_seconds=HEARTBEAT,
            cluster_detection_method=None if missing else "deactivate",
        )
    except ValueError:  # JAX has found no job that this process belongs to
        if not missing:
            raise
    except RuntimeError as error:
        raise InputError(f"{UNJOINED} ({str(error).strip().splitlines()[0][:200]})") from None
    finally:
        watchdog.cancel()


def give_up(waited: int) -> None:
    """Ends this process, whose main thread waits inside of JAX."""
    print(f"error: {UNJOINED} ({waited} s)", file=sys.stderr, flush=True)
    os._exit(2)


def check(coordinator: str, processes: int, process: int) -> None:
    """Raises InputError for what cannot name one process of several."""
    host, colon, port = coordinator.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 2**16):
        raise InputError(f"--coordinator must be HOST:PORT; given {coordinator!r}")
    if not 0 <= process < processes:
        raise InputError(
            f"--process_id must lie in 0 to {processes - 1} of {processes} processes; "
            f"given {process}"
        )


def count() -> int:
    """Returns how many processes there are."""
    return jax.process_count()


def index() -> int:
    """Returns which of them this is, from 0."""
    return jax.process_index()


def first() -> bool:
    """Returns whether this is the process that writes what only one may write."""
    return index() == 0


@contextlib.contextmanager
def agreement() -> Iterator[None]:
    """Raises on every process what any of them raised inside.

    An InputError is one everywhere; for anything else the others raise Elsewhere.
    """
    if count() == 1:
        yield
        return
    failure: Exception | None = None
    try:
        yield
    except Exception as error:  # shared first, then raised again
        failure = error
    kind = 0 if failure is None else 1 if isinstance(failure, InputError) else 2
    text = f"{kind}{failure or ''}".encode()[:MESSAGE].ljust(MESSAGE)
    answers = gather(np.frombuffer(text, np.uint8))
    if failure is not None:
        raise failure
    for number, answer in enumerate(answers):
        text = answer.tobytes().decode(errors="replace").strip()
        if text.startswith("1"):
            raise InputError(text[1:])
        if text.startswith("2"):
            raise Elsewhere(f"process {number}: {text[1:]}")


def from_first(compute: Callable[[], Any]) -> Any:
    """Returns what `compute` returns on the first process, to all of them, as JSON carries it.

    The others do not call it; they raise what it raises, as in `agreement`.
    """
    if count() == 1:
        return compute()
    found = b""
    with agreement():
        if first():
            found = json.dumps(compute()).encode()
    length = int(gather(np.int32(len(found)))[0])
    return json.loads(gather(np.frombuffer(found.ljust(length), np.uint8)[:length])[0].tobytes())


def one_then_all(act: Callable[[], Any]) -> Any:
    """Returns what `act` returns, called on the first process before the others.

    For what the first may have to make, and the others then find made.
    """
    result = None
    for turn in (True, False):
        with agreement():
            if first() is turn:
                result = act()
    return result


def gather(value: Any) -> np.ndarray:
    """Returns the values of all processes, (count, *shape), which must have one shape."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(np.asarray(value)))
