"""A trial: one run, harmed again and again, and then compared with the run that was left alone."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.torture.harms import HARMS
from cnnjax.torture.subject import Lost, Subject

# Megabytes of a trial's own disk: a few checkpoints, quickly filled.
DISK = 24


@dataclasses.dataclass
class Outcome:
    """What happened to one run.

    Attributes:
      struck: how often by each harm.
      discarded: batches that were not finite, each discarded and stored.
      lost: what broke, or empty.
    """

    struck: dict[str, int]
    discarded: int = 0
    lost: str = ""


def reference(command: Sequence[str], workdir: Path) -> dict[str, Any]:
    """Returns the ending of the run that nobody harms."""
    subject = Subject(command, workdir)
    try:
        subject.finish()
        return subject.ending()
    finally:
        subject.close()


def trial(
    command: Sequence[str],
    folder: Path,
    expected: dict[str, Any],
    names: Sequence[str],
    seed: int,
    deadline: float,
) -> Outcome:
    """Returns what became of one run in `folder`, harmed until it ends by itself.

    Args:
      expected: the ending of `reference`.
      names: of the harms to choose from, at random by `seed`.
      deadline: of `time.monotonic()`, after which the run is left alone.
    """
    draw, outcome = np.random.default_rng(seed), Outcome({})
    with own_disk(folder, "full disk" in names):
        subject = Subject(command, folder / "run")
        try:
            while not subject.done() and time.monotonic() < deadline:
                name = names[int(draw.integers(len(names)))]
                outcome.struck[name] = outcome.struck.get(name, 0) + 1
                if not HARMS[name](subject, draw):
                    outcome.struck[name] -= 1
            subject.finish()
            compare(subject.ending(), expected)
            outcome.discarded = len(expected["discarded"])
        except Lost as lost:
            subject.close()
            kept = folder.with_name(f"{folder.name}-lost")
            shutil.copytree(folder / "run", kept, dirs_exist_ok=True)
            outcome.lost = f"{lost} (kept in {kept})"
        finally:
            subject.close()
    return outcome


def compare(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raises Lost, saying what, where the endings of two runs differ."""
    for name, value in expected.items():
        if found[name] != value:
            raise Lost(f"{name}: {found[name]!r} instead of {value!r}"[:2000])


@contextlib.contextmanager
def own_disk(folder: Path, wanted: bool) -> Iterator[None]:
    """Makes `folder`, where wanted a small file system of its own, which needs the right to mount.

    Raises Lost where it cannot.
    """
    folder.mkdir(parents=True)
    if not wanted:
        yield
        return
    mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK}m", "none", str(folder))
    if subprocess.run(mount, capture_output=True).returncode:
        raise Lost("a small disk cannot be mounted")
    try:
        yield
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=False, capture_output=True)


def can_mount(folder: Path) -> bool:
    """Returns whether this user may make small disks."""
    try:
        with own_disk(folder, wanted=True):
            return True
    except Lost:
        return False
