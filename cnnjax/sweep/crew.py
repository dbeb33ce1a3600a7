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

from cnnjax.sweep import life, record
from cnnjax.train.stop import STOPPED


class Crew:
    """Processes of one command. Their standard input is a pipe, which ends when we do."""

    def __init__(self, command: Sequence[str], folder: Path, count: int):
        self.command, self.folder = command, folder
        self.environments = environments(count, gpus())
        (folder / record.LOGS).mkdir(exist_ok=True)
        # Of each worker: where its log began, and its deaths in a row without a trial begun.
        self.offsets, self.deaths = [0] * count, [0] * count
        self.processes = [self.start(i) for i in range(count)]

    def start(self, index: int) -> subprocess.Popen:
        with open(self.log(index), "a") as log:
            self.offsets[index] = log.tell()
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
        """Starts anew whoever a signal has ended, and returns how many live, or will be replaced.

        Who dies again and again before a trial has begun is not started any more.
        """
        for i, process in enumerate(self.processes):
            name = ended_by(process.poll())
            if name is None or self.deaths[i] >= life.DEATHS:
                continue
            self.deaths[i] = 0 if self.began(i) else self.deaths[i] + 1
            if self.deaths[i] >= life.DEATHS:
                print(f"Worker {i} was {self.hopeless(name)}.", file=sys.stderr)
                continue
            print(f"Worker {i} was ended by {name}; another goes on.", file=sys.stderr)
            if process.stdin:
                process.stdin.close()
            self.processes[i] = self.start(i)
        return sum(map(self.goes_on, range(len(self.processes))))

    def goes_on(self, index: int) -> bool:
        """Returns whether a worker lives, or has died so soon that the next look replaces it."""
        status = self.processes[index].poll()
        return status is None or (bool(ended_by(status)) and self.deaths[index] < life.DEATHS)

    def began(self, index: int) -> bool:
        """Returns whether a worker has begun a trial since it was started, by its log."""
        with open(self.log(index), "rb") as log:
            log.seek(self.offsets[index])
            return any(line.startswith(life.BEGINS.encode()) for line in log)

    def hopeless(self, name: str) -> str:
        return (
            f"ended by {name} {life.DEATHS} times in a row before it began a trial, and is not "
            "started again; is the memory too small?"
        )

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
                if self.deaths[i] >= life.DEATHS:
                    words = self.hopeless(f"{ended_by(process.poll())}")
                found.append(f"worker {i}: {words or 'no word'} ({self.log(i)})")
        return found


def ended_by(status: int | None) -> str | None:
    """Returns the signal that an exit status tells of, as a shell writes it or as Python does."""
    if status is None or 0 <= status <= 128:
        return None
    number = -status if status < 0 else status - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}" if status < 0 else None


def gpus() -> list[str]:
    """Returns the NVIDIA GPUs that workers may use, by the numbers CUDA knows them by."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [part for part in given.split(",") if part]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(("nvidia-smi", "-L"), capture_output=True, text=True)
    # The lines of a GPU's parts are indented.
    whole = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [f"{i}" for i, _ in enumerate(whole)] if not listed.returncode else []


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
