"""Python files of the user's that bring data sets, networks or tasks of their own."""

from __future__ import annotations

from absl import flags

from cnnjax import commands

FILES = flags.DEFINE_multi_string(
    "register", [], "A Python file that brings what the run needs and cnnjax lacks: its config."
)


def read() -> None:
    """Runs the files, each once; raises InputError for one that is not there, or fails."""
    for name in FILES.value:
        commands.loaded(name, f"--register={name}")
