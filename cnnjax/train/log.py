"""What a run tells: a progress bar or plain lines, JSON lines, and TensorBoard event files."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cnnjax.workdir.files import METRICS

COLUMNS = (
    TextColumn("epoch {task.fields[epoch]}"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("{task.fields[shown]}"),
    TimeRemainingColumn(),
)


class Log:
    """Writes reports of one run; use as a context. The bar appears where a terminal is attached."""

    def __init__(self, workdir: Path, step: int, steps: int, tensorboard: bool):
        self.file = open(workdir / METRICS, "a", buffering=1)  # noqa: SIM115 - closed on exit
        self.events = None
        if tensorboard:
            from tensorboardX import SummaryWriter

            # The time in a file's name counts whole seconds: the step keeps two sessions of one
            # second apart, and in order.
            self.events = SummaryWriter(
                str(workdir), purge_step=step + 1, filename_suffix=f".{step:010d}"
            )
        self.console = Console(file=sys.stdout, highlight=False)
        self.bar = Progress(*COLUMNS, console=self.console, disable=not self.console.is_terminal)
        self.task = self.bar.add_task("train", total=steps, completed=step, epoch="0", shown="")

    def __enter__(self) -> Log:
        self.bar.start()
        return self

    def __exit__(self, *unused) -> None:
        self.bar.stop()
        self.file.close()
        if self.events is not None:
            self.events.close()

    def advance(self, step: int, epoch: float) -> None:
        """Moves the bar."""
        self.bar.update(self.task, completed=step, epoch=f"{epoch:.1f}")

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Records `values` of `split` after `step` steps."""
        self.file.write(json.dumps({"step": step, "split": split, **values}) + "\n")
        if self.events is not None:
            for name, value in values.items():
                self.events.add_scalar(f"{split}/{name}", value, step)
        if split == "train":
            self.bar.update(self.task, shown=describe(values))

    def flush(self) -> None:
        """Hands all that was written to the system, so that it outlives this process."""
        if self.events is not None:
            self.events.flush()

    def line(self, text: str) -> None:
        """Prints a line, above the bar where there is one."""
        self.console.print(text, markup=False, soft_wrap=True)


def describe(values: Mapping[str, float]) -> str:
    """Returns "loss 0.0812  accuracy 97.51 %  12,345 images/s", of what is there."""
    parts = []
    if "loss" in values:
        parts.append(f"loss {values['loss']:.4f}")
    if "accuracy" in values:
        parts.append(f"accuracy {values['accuracy']:.2%}".replace("%", " %"))
    if "images_per_second" in values:
        parts.append(f"{values['images_per_second']:,.0f} images/s")
    return "  ".join(parts)
