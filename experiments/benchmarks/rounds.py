"""Measuring speed: contestants take turns, so that what disturbs the machine disturbs them all."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks.child import Child, Failed
from experiments.benchmarks.works import MODES, Work

MOST = 1000  # steps of a turn


@dataclasses.dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes:
      rounds: turns of every contestant.
      steps: of a turn; 0: as many as take `seconds`.
      starts: processes per contestant and work; the last one stays for the rounds.
      repeats: runs to an accuracy, with as many seeds.
      together: whether all are started, and wait for their turns, before the first round. An
        accelerator's memory is for one process at a time.
    """

    rounds: int = 10
    steps: int = 0
    seconds: float = 0.5
    starts: int = 3
    repeats: int = 3
    precision: str = "float32"
    together: bool = True


@dataclasses.dataclass(eq=False)
class Runner:
    """A contestant on its way through one work.

    Attributes:
      measured: what `measure` returns of it.
      steps: of its turns, by mode.
    """

    name: str
    measured: dict[str, Any]
    steps: dict[str, int]
    child: Child | None = None

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        assert self.child is not None
        return self.child.ask(do, **arguments)

    def close(self) -> None:
        if self.child is not None:
            self.child.close()
            self.child = None


def measure(
    work: Work,
    names: Sequence[str],
    folder: Path,
    settings: Settings,
    advance: Callable[[], object],
) -> dict[str, dict[str, Any]]:
    """Returns what was measured, by contestant, or under "failed" why there is nothing.

    Values are lists. In seconds per step or batch, one per round: `train`, `forward`, `pipeline`.
    In seconds from the start of a process to the end of its first training step: `first`, and
    `again` of later processes, which find what programs the first has kept. In bytes: `memory`,
    `device_memory`.
    """
    runners = [Runner(name, {"first": [], "again": []}, {}) for name in names]
    with tempfile.TemporaryDirectory() as programs:
        try:
            for group in [runners] if settings.together else [[runner] for runner in runners]:
                for _ in range(settings.starts):
                    for runner in group:
                        attempt(start, runner, work, folder, Path(programs), settings)
                        advance()
                race(group, settings, advance)
        finally:
            for runner in runners:
                runner.close()
    return {runner.name: runner.measured for runner in runners}


def attempt(call: Callable[..., None], runner: Runner, *arguments: Any) -> None:
    """Calls, if nothing failed before; a failure takes the place of all that was measured."""
    if "failed" in runner.measured:
        return
    try:
        call(runner, *arguments)
    except Failed as error:
        runner.measured = {"failed": str(error)}
        runner.close()


def start(runner: Runner, work: Work, folder: Path, programs: Path, settings: Settings) -> None:
    """Starts a process in the place of the one before, and times it up to its first step."""
    runner.close()
    begin = time.perf_counter()
    runner.child = Child(runner.name, programs / runner.name)
    described = {"work": dataclasses.asdict(work), "data": str(folder), "seed": 0}
    parameters = runner.ask("prepare", precision=settings.precision, **described)["parameters"]
    runner.ask("train", steps=1, first=True)
    measured, seconds = runner.measured, time.perf_counter() - begin
    measured["again" if measured["first"] else "first"].append(seconds)
    measured["parameters"] = parameters


def race(group: Sequence[Runner], settings: Settings, advance: Callable[[], object]) -> None:
    """Has all take their turns, every second round in the opposite order."""
    for runner in group:
        attempt(calibrate, runner, settings)
    for number in range(settings.rounds):
        for runner in group[::-1] if number % 2 else group:
            attempt(take_turn, runner)
            advance()
    for runner in group:
        attempt(weigh, runner)
        runner.close()


def calibrate(runner: Runner, settings: Settings) -> None:
    """Chooses the steps of a turn; what needs compiling is compiled here."""
    for mode in MODES:
        runner.ask(mode, steps=1)
        steps = 1
        for _ in range(0 if settings.steps else 2):
            seconds = runner.ask(mode, steps=steps)["seconds"]
            steps = max(1, min(round(steps * settings.seconds / max(seconds, 1e-9)), MOST))
        runner.steps[mode] = settings.steps or steps
        runner.measured[mode] = []


def take_turn(runner: Runner) -> None:
    """Measures all modes; a step before each finds the caches as another has left them."""
    for mode, steps in runner.steps.items():
        runner.ask(mode, steps=1)
        seconds = runner.ask(mode, steps=steps)["seconds"]
        runner.measured[mode].append(seconds / steps)


def weigh(runner: Runner) -> None:
    memory = runner.ask("memory")
    runner.measured["memory"] = [memory["host"]]
    if memory["device"]:
        runner.measured["device_memory"] = [memory["device"]]
