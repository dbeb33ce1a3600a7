"""Tables for people: names of users are text, never markup, and nothing is cut in a pipe."""

from __future__ import annotations

import sys

from rich.console import Console

WIDEST = 10_000  # columns where no terminal says


def console() -> Console:
    """Returns a console that takes words as they are; in a pipe a line is as long as it is."""
    width = None if sys.stdout.isatty() else WIDEST
    return Console(markup=False, emoji=False, highlight=False, width=width)
