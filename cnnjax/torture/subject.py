"""The run that is harmed: one command, its workdir, and what it leaves there."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cnnjax.workdir import files

# Seconds after which a process that neither ends nor does what it is waited for counts as lost.
PATIENCE = 300


class Lost(Exception):
    """A run broke a promise; the text says which."""


class Subject:
    """A training command and its workdir; at most one process of it is alive."""

    def __init__(self, command: Sequence[str], workdir: Path):
        self.command, self.workdir = (*command, f"--workdir={workdir}"), workdir
        self.process: subprocess.Popen | None = None
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as this
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115

    def start(self) -> subprocess.Popen:
        """Starts the command, unless a process of it is alive."""
        if self.process is None or self.process.poll() is not None:
            for file in (self.output, self.errors):
                file.seek(0)
                file.truncate()
            self.process = self.another(self.output, self.errors)
        return self.process

    def another(self, output: Any, errors: Any) -> subprocess.Popen:
        """Starts one more process of the command."""
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(self.command, stdout=output, stderr=errors, env=environment)

    def wait(self) -> int:
        """Returns the exit status; raises Lost when the process hangs or prints a traceback."""
        assert self.process is not None
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Lost(f"hung for {PATIENCE} s") from None
        if "Traceback" in self.said(self.errors):
            raise Lost(f"a traceback: {self.said(self.errors)[-2000:]}")
        return status

    def said(self, file: Any) -> str:
        file.seek(0)
        return file.read()

    def training(self) -> bool:
        """Returns whether the process has come as far as its first step."""
        return " steps on " in self.said(self.output)

    def done(self) -> bool:
        return (self.workdir / files.RESULT).exists()

    def until(self, seen: Callable[[], Any], pause: float = 0.002) -> bool:
        """Waits until `seen()`; returns False when the process has ended before."""
        process, deadline = self.start(), time.monotonic() + PATIENCE
        while not seen():
            if process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(pause)
        return process.poll() is None

    def ending(self) -> dict[str, Any]:
        """Returns all that must not depend on what happened on the way."""
        result = files.read_result(self.workdir)
        lines = (self.workdir / files.METRICS).read_text().splitlines()
        reports = [json.loads(line) for line in lines]
        of_this_start = ("seconds", "programs")
        return {
            "result": {name: value for name, value in result.items() if name not in of_this_start},
            "metrics": [{**report, "images_per_second": 0} for report in reports],
            "discarded": sorted(path.name for path in (self.workdir / "nonfinite").glob("*")),
        }

    def finish(self) -> None:
        """Lets the run end, started again if need be; raises Lost when it does not end well."""
        if not self.done():
            self.start()
        if (status := self.wait()) != 0 and not self.done():
            raise Lost(f"left alone, it ended with status {status}: {self.said(self.errors)}")

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.output.close()
        self.errors.close()
