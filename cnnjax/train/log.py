"""What a run tells: a progress bar or plain lines, JSON lines, and TensorBoard event files."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from cnnjax.parallel import hosts
from cnnjax.tasks import shown
from cnnjax.workdir import files

# Characters of the shortest bar, of the epoch, of the time that is left, and between all columns.
LEAST_BAR, EPOCH, TIME, GAPS = 8, 10, 7, 4


def columns() -> tuple[ProgressColumn, ...]:
    """Returns the columns of the bar: one line, of which the bar takes what the others leave."""
    return (
        TextColumn("epoch {task.fields[epoch]}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=LEAST_BAR)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[shown]}", table_column=Column(no_wrap=True), markup=False),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
    )


class Log:
    """Writes reports of one run; use as a context. The bar appears where a terminal is attached.

    Several processes share one workdir: only the first writes there, the others nowhere. `units`
    are those of the loss and the figures that the bar shows, by name.
    """

    def __init__(
        self, workdir: Path, step: int, steps: int, tensorboard: bool, units: Mapping[str, str]
    ):
        self.units = units
        file = workdir / files.METRICS if hosts.first() else os.devnull
        self.file = open(file, "a", buffering=1)  # noqa: SIM115 - closed on exit
        self.events = Events(workdir, step) if tensorboard and hosts.first() else None
        self.console = Console(file=sys.stdout, highlight=False)
        shown = self.console.is_terminal
        self.bar = Progress(*columns(), console=self.console, disable=not shown, expand=True)
        self.others = EPOCH + LEAST_BAR + 2 * len(str(steps)) + 1 + TIME + GAPS
        self.task = self.bar.add_task("train", total=steps, completed=step, epoch="0", shown="")

    def __enter__(self) -> Log:
        self.bar.start()
        return self

    def __exit__(self, *unused) -> None:
        with contextlib.ExitStack() as both:
            # Each is closed even where the other cannot be, on a full disk.
            if self.events is not None:
                both.callback(self.events.close)
            both.callback(self.file.close)
            self.bar.stop()

    def advance(self, step: int, epoch: float) -> None:
        """Moves the bar."""
        self.bar.update(self.task, completed=step, epoch=f"{epoch:.1f}")

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Records `values` of `split` after `step` steps."""
        self.file.write(files.as_json({"step": step, "split": split, **values}) + "\n")
        if self.events is not None:
            for name, value in values.items():
                self.events.scalar(f"{split}/{name}", value, step)
        if split == "train":
            room = self.console.width - self.others
            self.bar.update(self.task, shown=fitting(parts(values, self.units), room))

    def flush(self) -> None:
        """Hands all that was written to the system, so that it outlives this process."""
        if self.events is not None:
            self.events.flush()

    def line(self, text: str) -> None:
        """Prints a line, above the bar where there is one."""
        self.console.print(text, markup=False, soft_wrap=True)


class Events:
    """A TensorBoard event file of one session, which begins after `step` steps.

    tensorboardX's own writer has a queue that its `flush` does not wait for, so that a killed
    process would lose reports from before its checkpoint: events are written at once here. Nor does
    its `EventsWriter` close a file that it cannot flush, of which the collector then complains.
    """

    def __init__(self, workdir: Path, step: int):
        from tensorboardX import summary
        from tensorboardX.proto import event_pb2
        from tensorboardX.record_writer import RecordWriter

        # The time in a file's name counts whole seconds: the step keeps two sessions of one
        # second apart, and in order.
        self.messages: Any = event_pb2
        self.summary = summary
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{step:010d}"
        self.records = RecordWriter(str(workdir / name))
        self.write(0, file_version="brain.Event:2")
        # What an earlier session reported beyond its last checkpoint is not to be shown.
        start = self.messages.SessionLog(status=self.messages.SessionLog.START)
        self.write(step + 1, session_log=start)

    def write(self, step: int, **contents: Any) -> None:
        event = self.messages.Event(step=step, wall_time=time.time(), **contents)
        self.records.write(event.SerializeToString())

    def scalar(self, tag: str, value: float, step: int) -> None:
        self.write(step, summary=self.summary.scalar(tag, value))

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Records uint8 pixels, (height, width, 3)."""
        self.write(step, summary=self.summary.image(tag, pixels, dataformats="HWC"))

    def flush(self) -> None:
        self.records.flush()

    def close(self) -> None:
        self.records.close()


def describe(values: Mapping[str, float], units: Mapping[str, str]) -> str:
    """Returns "loss 0.0812  accuracy 97.51 %  12,345 images/s", of what is there and in `units`."""
    return "  ".join(parts(values, units))


def fitting(words: Sequence[str], room: int) -> str:
    """Returns as many of the first words as there is room for."""
    found = ""
    for word in words:
        longer = f"{found}  {word}".strip()
        if len(longer) > room:
            break
        found = longer
    return found


def parts(values: Mapping[str, float], units: Mapping[str, str]) -> list[str]:
    found = [f"loss {values['loss']:.4f}"] if "loss" in values else []
    figures = (name for name in units if name in values and name != "loss")
    found += [f"{name.replace('_', ' ')} {shown(values[name], units[name])}" for name in figures]
    if "images_per_second" in values:
        found.append(f"{values['images_per_second']:,.0f} images/s")
    return found
