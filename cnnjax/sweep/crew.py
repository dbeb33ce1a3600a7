"""The workers of one machine: started, watched, replaced when they die, stopped on request."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cnnjax.sweep import record
from cnnjax.train.stop import STOPPED


class Crew:
    """Processes of one command. Their standard input is a pipe, which ends when we do."""

    def __init__(self, command: Sequence[str], folder: Path, count: int):
        self.command, self.folder = command, folder
        self.environments = environments(count, gpus())
        (folder / record.LOGS).mkdir(exist_ok=True)
        self.processes = [self.start(i) for i in range(count)]

    def start(self, index: int) -> subprocess.Popen:
        with open(self.log(index), "a") as log:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | self.environments[index],
                # Ctrl-C reaches us alone, and we pass it on once.
                start_new_session=True,
            )

    def log(self, index: int) -> Path:
        return self.folder / record.LOGS / f"{socket.gethostname()}-{os.getpid()}-{index}.log"

    def replace_dead(self) -> int:
        """Starts anew whoever a signal has ended, and returns how many live."""
        for i, process in enumerate(self.processes):
            status = process.poll()
            if status is not None and (status < 0 or status > 128):
                name = signal.Signals(-status if status < 0 else status - 128).name
                print(f"Worker {i} was ended by {name}; another goes on.", file=sys.stderr)
                self.processes[i] = self.start(i)
        return sum(process.poll() is None for process in self.processes)

    def stop(self, patience: float = 120.0) -> None:
        """Asks all to save and end, and waits; ends those that do not."""
        for process in self.processes:
            if process.stdin:
                process.stdin.close()
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def complaints(self) -> list[str]:
        """Returns what each worker said that ended by a failure: its error, or its last line."""
        found = []
        for i, process in enumerate(self.processes):
            if process.poll() not in (None, 0, STOPPED):
                lines = self.log(i).read_text(errors="replace").strip().splitlines()
                told = [n for n, line in enumerate(lines) if line.startswith("error: ")]
                words = " ".join(lines[told[-1] if told else -1 :]).removeprefix("error: ")
                found.append(f"worker {i}: {words or 'no word'} ({self.log(i)})")
        return found


def gpus() -> list[str]:
    """Returns the NVIDIA GPUs that workers may use, by the numbers CUDA knows them by."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [part for part in given.split(",") if part]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(("nvidia-smi", "-L"), capture_output=True, text=True)
    return (
        [f"{i}" for i, _ in enumerate(listed.stdout.splitlines())] if not listed.returncode else []
    )


def environments(workers: int, devices: Sequence[str]) -> list[dict[str, str]]:
    """Returns the variables of each worker: its GPU, and memory only as it is needed.

    Several workers on a GPU cannot each reserve a share: XLA counts shares of what is free then.
    """
    if not devices:
        return [{} for _ in range(workers)]
    found = []
    for i in range(workers):
        own = {"CUDA_VISIBLE_DEVICES": devices[i % len(devices)]}
        if workers > len(devices):
            own["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        found.append(own)
    return found
