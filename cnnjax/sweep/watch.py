"""Watching a sweep: a live table in a terminal, plain lines in a log."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from cnnjax.sweep import plan, show
from cnnjax.sweep.record import Sweep


class Watch:
    """Shows the trials as they change; use as a context."""

    def __init__(self, folder: Path, sweep: Sweep):
        self.folder, self.sweep = folder, sweep
        self.console = Console(file=sys.stdout, markup=False, emoji=False, highlight=False)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.states: dict[int, str] = {}
        self.first = True

    def __enter__(self) -> Watch:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *unused) -> None:
        self.live.stop()

    def look(self, found: Sequence[Mapping[str, Any]], workers: int) -> None:
        """Shows the records of the trials as they are now; `workers` are those at work here."""
        if self.console.is_terminal:
            made = show.best_table(self.folder, self.sweep, found, self.sweep.trials, workers)
            self.live.update(made, refresh=True)
            return
        if self.first and found:
            self.console.print(f"so far: {show.counted(found)}", soft_wrap=True)
            self.states = {row["number"]: row["state"] for row in found}
        self.first = False
        for row in found:
            state = row["state"]
            if state != self.states.get(row["number"]) and state != plan.PLANNED:
                text = show.line(self.sweep, row, found)
                if state != plan.RUNNING:
                    text += f"; {show.left(found, self.sweep.trials, workers)}"
                self.console.print(text.rstrip("; "), soft_wrap=True)
            self.states[row["number"]] = state

    def end(self, found: Sequence[Mapping[str, Any]]) -> None:
        """Prints the last table."""
        if not self.console.is_terminal:
            self.look(found, 0)
        self.console.print(show.best_table(self.folder, self.sweep, found, self.sweep.trials, 0))
