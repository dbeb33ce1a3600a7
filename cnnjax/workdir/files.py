"""Files of a work directory: JSON records and the claim of the one run that writes here.

`config.json` is the resolved config, `env.json` what it ran on, `dataset.json` what a network must
know of its data, `metrics.jsonl` one object per report, `result.json` the end of a finished run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from cnnjax import config, history
from cnnjax.errors import InputError

CONFIG, ENVIRONMENT, DATASET, RESULT = "config.json", "env.json", "dataset.json", "result.json"
METRICS, CHECKPOINTS, LOCK = "metrics.jsonl", "checkpoints", "lock"
KINDS = {dict: "JSON object", list: "JSON array"}
DAMAGED, RETREATS = "damaged", "retreats.json"


def write_json(path: Path, value: Any) -> None:
    """Writes `value` so that a reader finds the old file or the new one, never half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(as_json(value, indent=2) + "\n")
    os.replace(part, path)


def as_json(value: Any, indent: int | None = None) -> str:
    """Returns JSON with null for NaN and infinity, which JSON lacks."""
    return json.dumps(finite(value), indent=indent, allow_nan=False)


def finite(value: Any) -> Any:
    """Returns plain values with None for each number in them that is not finite."""
    if isinstance(value, Mapping):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path, kind: type = dict) -> Any:
    """Returns the file's value, of this kind; InputError when it is missing or something else."""
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: {path.parent} is not a run's workdir") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if not isinstance(value, kind):
        raise InputError(f"{path} is not one of ours: it holds no {KINDS[kind]}")
    return value


@contextlib.contextmanager
def understood(path: Path) -> Iterator[None]:
    """Turns what goes wrong with the values of a file into an InputError that names it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not what a run of ours writes there ({type(error).__name__}: {error})"
        ) from error


def read_config(workdir: Path) -> dict[str, Any]:
    """Returns the config of a run, complete, checked; InputError where it is none of ours."""
    path = workdir / CONFIG
    values = read_json(path)
    with understood(path):
        return config.check(history.completed(values))


def read_retreats(workdir: Path) -> list[int]:
    """Returns the steps that the run has gone back to, with a smaller learning rate each time."""
    path = workdir / RETREATS
    return read_json(path, list) if path.exists() else []


def add_retreat(workdir: Path, step: int) -> None:
    """Notes that the run has gone back to `step`."""
    write_json(workdir / RETREATS, [*read_retreats(workdir), step])


def claim(workdir: Path) -> TextIO:
    """Creates the directory and returns the open lock file that makes it this process's own.

    The claim ends with the process, however it ends. Raises InputError when another living process
    holds it, or when the directory cannot be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = open(workdir / LOCK, "a+")  # noqa: SIM115 - held until the process ends
    except OSError as error:
        raise InputError(f"workdir {workdir} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise InputError(
            f"workdir {workdir} is in use by process {owner}; wait for it, or give another workdir"
        ) from None
    except OSError as error:
        lock.close()
        raise InputError(f"workdir {workdir} cannot be locked: {error.strerror}") from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def read_report(line: str | bytes) -> dict[str, Any]:
    """Returns the report of a line, NaN where it has null; ValueError for a torn one."""
    return numbers(json.loads(line))


def read_result(workdir: Path) -> dict[str, Any]:
    """Returns the result of a finished run, NaN where it has null."""
    return numbers(read_json(workdir / RESULT))


def numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in values.items()}


def trim_metrics(workdir: Path, step: int) -> None:
    """Drops reports of steps after `step`, which will be taken again, and a torn last line."""
    path = workdir / METRICS
    if not path.exists():
        return
    kept = [line for line in path.read_text().splitlines() if report_step(line) <= step]
    part = path.with_name(path.name + ".part")
    part.write_text("".join(line + "\n" for line in kept))
    os.replace(part, path)


def report_step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")


def validations(workdir: Path) -> list[dict[str, Any]]:
    """Returns the reports of validations in a workdir, in their order."""
    path = workdir / METRICS
    if not path.exists():
        return []
    found = []
    for line in path.read_text().splitlines():
        try:
            report = read_report(line)
        except ValueError:
            print(f"{path} has a torn line, which is left out", file=sys.stderr)
            continue
        if report.get("split") == "validation":
            found.append(report)
    return found
