"""The process of a contestant: reads commands from standard input, answers with lines of JSON.

python -m experiments.benchmarks.worker pytorch
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from experiments.benchmarks import arrays, contestants, prepared
from experiments.benchmarks.works import MODES, Work


def main(arguments: Sequence[str]) -> int:
    contestant = contestants.CONTESTANTS[arguments[0]]
    answers = private_stdout()
    side = importlib.import_module(f"experiments.benchmarks.{contestant.module}")
    ready: prepared.Prepared | None = None
    for line in sys.stdin:
        request = json.loads(line)
        do = request.pop("do")
        try:
            if do == "facts":
                answer = facts(side, **request)
            elif do == "prepare":
                ready = prepare(side, contestant.options, **request)
                answer = {"parameters": ready.parameters}
            else:
                assert ready is not None, "not prepared"
                answer = perform(ready, do, **request)
        except Exception as error:  # which the parent reports, and goes on without us
            traceback.print_exc()
            reason = str(error).strip().partition("\n")[0][:200]
            answer = {"error": f"{type(error).__name__}: {reason}"}
        print(json.dumps(answer), file=answers, flush=True)
    return 0


def private_stdout() -> TextIO:
    """Returns standard output; whatever libraries print there goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def facts(side: Any, precision: str, seconds: float) -> dict[str, Any]:
    """Returns what a contestant runs on, and the matmul peak that it reaches."""
    found = side.facts()
    size = 2048 if found["platform"] == "cpu" else 8192
    speed = prepared.peak(side.product(size, precision), 2.0 * size**3, seconds)
    return found | {"peak": speed}


def prepare(
    side: Any,
    options: Mapping[str, bool],
    work: dict[str, Any],
    data: str,
    precision: str,
    seed: int,
) -> prepared.Prepared:
    work["shape"] = tuple(work["shape"])  # JSON has lists only
    return side.prepare(Work(**work), arrays.read(Path(data)), precision, seed, **options)


def perform(ready: prepared.Prepared, do: str, steps: int = 1, first: bool = False) -> dict:
    if do == "epoch":
        return {"accuracy": ready.epoch()}
    if do == "memory":
        return {"host": high_water(), "device": ready.device_memory()}
    assert do in MODES, do
    return timed(getattr(ready, do), steps, first)


def timed(run: Callable[[int], Any], steps: int, first: bool) -> dict[str, Any]:
    if not first:
        run(1)  # not timed: others had the caches before
    start = time.perf_counter()
    result = run(steps)
    return {"seconds": time.perf_counter() - start, "result": result}


def high_water() -> int:
    """Returns the most bytes of memory that this process had at a time.

    getrusage is the second choice: what it tells begins with the size of the parent.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    if contestants.CONTESTANTS[sys.argv[1]].module == "ours":
        from experiments import launch

        launch.run(main)
    else:
        sys.exit(main(sys.argv[1:]))
