"""This side of a contestant's process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from experiments.benchmarks import contestants

ROOT = Path(__file__).parent.parent.parent


class Failed(Exception):
    """A contestant could not do what was asked; its process is not to be asked again."""


class Child:
    """A process that computes when it is asked to, and sleeps otherwise."""

    def __init__(self, name: str, programs: Path):
        self.name = name
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            (sys.executable, "-m", "experiments.benchmarks.worker", name),
            cwd=ROOT,
            env=contestants.environment(name, programs),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.requests: Any = self.process.stdin
        self.answers: Any = self.process.stdout

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Returns the answer; raises Failed with what went wrong there."""
        with contextlib.suppress(BrokenPipeError):  # of a process that has ended
            self.requests.write(json.dumps({"do": do, **arguments}) + "\n")
            self.requests.flush()
        line = self.answers.readline()
        if not line:
            raise Failed(f"{self.name} ended in {do!r}: {self.last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"{self.name} in {do!r}: {answer['error']}")
        return answer

    def last_words(self) -> str:
        """Returns the last line that the process wrote to standard error, and how it ended."""
        status = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else f"exit status {status}"

    def close(self) -> None:
        """Ends the process, at once where it does not end by itself."""
        with contextlib.suppress(BrokenPipeError):
            self.requests.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.answers.close()
        self.errors.close()
