"""Work on many files at once, with a progress bar."""

from __future__ import annotations

import collections
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Returns the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def each(function: Callable[[Item], Result], items: Sequence[Item], what: str) -> Iterator[Result]:
    """Yields function(item) in the order of the items, from as many threads as there are cores.

    Pillow, zlib and hashlib let other threads run while they work. A few results wait to be taken,
    never all; the bar is drawn where a terminal is attached, unless `what` is empty.
    """
    from rich.console import Console
    from rich.progress import track

    ahead = 8 * cores()
    waiting: collections.deque[Future[Result]] = collections.deque()
    pool = ThreadPoolExecutor(cores(), thread_name_prefix="images")
    shown = track(
        range(len(items)),
        what,
        console=Console(stderr=True),
        disable=not (what and sys.stderr.isatty()),
    )
    try:
        for item in items[:ahead]:
            waiting.append(pool.submit(function, item))
        for i in shown:
            result = waiting.popleft().result()
            if i + ahead < len(items):
                waiting.append(pool.submit(function, items[i + ahead]))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
