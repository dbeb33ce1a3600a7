"""What is done to a run. Each returns whether it struck: a run may end before.

A harm raises Lost where the run does not answer as the README promises.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cnnjax.registry import Table
from cnnjax.torture.subject import PATIENCE, Lost, Subject
from cnnjax.train.stop import STOPPED
from cnnjax.workdir import checkpoint
from cnnjax.workdir.files import CHECKPOINTS

Harm = Callable[[Subject, np.random.Generator], bool]
# Kilobytes of the disk that a "full disk" leaves.
ROOM = 400


def after_a_while(subject: Subject, draw: np.random.Generator, longest: float = 7.0) -> bool:
    """Lets the run go on for a random time; returns whether it is still alive then."""
    process = subject.start()
    try:
        process.wait(draw.uniform(0, longest))
    except subprocess.TimeoutExpired:
        return True
    return False


def kill(subject: Subject, draw: np.random.Generator) -> bool:
    """SIGKILL, at any time from the start of the process on."""
    struck, process = after_a_while(subject, draw), subject.start()
    process.kill()
    process.wait()
    return struck


def kill_while_saving(subject: Subject, draw: np.random.Generator) -> bool:
    """SIGKILL up to 60 ms after a checkpoint was begun."""
    folder = subject.workdir / CHECKPOINTS
    after_a_while(subject, draw)
    if not subject.until(lambda: list(folder.glob("*tmp*"))):
        return False
    process = subject.start()
    try:
        process.wait(draw.uniform(0, 0.06))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def stop(subject: Subject, draw: np.random.Generator) -> bool:
    """SIGTERM or SIGINT, which end with status 75 once the run has begun."""
    number = (signal.SIGTERM, signal.SIGINT)[draw.integers(2)]
    if not after_a_while(subject, draw):
        return False
    process, begun = subject.start(), subject.training()
    process.send_signal(number)
    if not begun:
        # Before it has anything to save, a process ends as any other does.
        process.wait(PATIENCE)
    elif (status := subject.wait()) not in (STOPPED, 0) and not subject.done():
        raise Lost(f"{number.name} ended with status {status}")
    return True


def some_file(subject: Subject, draw: np.random.Generator) -> Path | None:
    """Returns a file of an item of any finished checkpoint; empty ones hold nothing to damage."""
    folder = subject.workdir / CHECKPOINTS
    found = (
        p for step in checkpoint.steps(subject.workdir) for p in (folder / f"{step}").rglob("*/*")
    )
    choice = sorted(path for path in found if path.is_file() and path.stat().st_size)
    return choice[draw.integers(len(choice))] if choice else None


def damage(subject: Subject, draw: np.random.Generator, act: Callable[[Path], None]) -> bool:
    """Kills the run, harms a file of a checkpoint, and sees that a restart gets past it."""
    kill(subject, draw)
    file = some_file(subject, draw)
    if subject.done() or file is None:
        return False
    step = int(file.relative_to(subject.workdir / CHECKPOINTS).parts[0])
    newest = step == checkpoint.steps(subject.workdir)[-1]
    act(file)
    alive = subject.until(subject.training)
    complaint = f"checkpoint {step} is damaged"
    if newest and complaint not in subject.said(subject.errors):
        raise Lost(f"{file} was damaged, and nothing said so")
    return alive or subject.done()


def flip(subject: Subject, draw: np.random.Generator) -> bool:
    """One bit of one file of a checkpoint."""

    def act(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[draw.integers(len(content))] ^= 1 << draw.integers(8)
        file.write_bytes(content)

    return damage(subject, draw, act)


def truncate(subject: Subject, draw: np.random.Generator) -> bool:
    """The end of one file of a checkpoint is cut off, or all of the file."""

    def act(file: Path) -> None:
        content = file.read_bytes()
        if draw.integers(2):
            file.write_bytes(content[: draw.integers(len(content))])
        else:
            file.unlink()

    return damage(subject, draw, act)


def fill_disk(subject: Subject, draw: np.random.Generator) -> bool:
    """The disk fills up while the run goes on, which must say so; then there is room again."""
    if not after_a_while(subject, draw):
        return False
    ballast = subject.workdir.parent / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)) == 4096:
                pass
    except OSError:
        pass
    size = max(ballast.stat().st_size - int(draw.integers(ROOM)) * 1024, 0)
    with ballast.open("rb+") as file:
        file.truncate(size)
    try:
        status = subject.wait()
        if status not in (0, 1) or (status and "no space is left" not in said(subject)):
            raise Lost(f"a full disk ended with status {status}: {said(subject)[-500:]}")
    finally:
        ballast.unlink()
    return status == 1


def said(subject: Subject) -> str:
    return subject.said(subject.errors)


def second_writer(subject: Subject, draw: np.random.Generator) -> bool:
    """The same command once more, while the first process is alive: stopped, so that it stays."""
    if not after_a_while(subject, draw) or not subject.until(subject.training):
        return False
    process = subject.start()
    process.send_signal(signal.SIGSTOP)
    try:
        other = subject.another(subprocess.PIPE, subprocess.PIPE)
        _, errors = other.communicate(timeout=PATIENCE)
    finally:
        process.send_signal(signal.SIGCONT)
    if subject.done():
        return False
    if other.returncode != 2 or b"is in use by process" not in errors:
        raise Lost(f"a second writer was let in: status {other.returncode}, {errors.decode()}")
    return True


HARMS: Table[Harm] = Table(
    "harm",
    {
        "kill": kill,
        "kill while saving": kill_while_saving,
        "stop": stop,
        "flipped bit": flip,
        "truncated file": truncate,
        "full disk": fill_disk,
        "second writer": second_writer,
    },
)
