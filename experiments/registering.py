"""Python files of the user's that bring data sets, networks or tasks of their own."""

from __future__ import annotations

import importlib.util

from absl import flags

from cnnjax import commands, paths
from cnnjax.errors import InputError

FILES = flags.DEFINE_multi_string(
    "register", [], "A Python file that brings what the run needs and cnnjax lacks: its config."
)


def read() -> None:
    """Runs the files, each once; raises InputError for one that is not there, or fails."""
    for name in FILES.value:
        path = paths.expanded(commands.config_file(name))
        if not path.is_file():
            raise InputError(f"--register={name} is no file")
        found = importlib.util.spec_from_file_location(f"registered_{path.stem}", path)
        if found is None or found.loader is None:
            raise InputError(f"--register={name} is no Python file")
        try:
            found.loader.exec_module(importlib.util.module_from_spec(found))
        except Exception as error:  # of code that is not ours
            raise InputError(
                f"--register={name} cannot be run: {type(error).__name__}: {error}"
            ) from error
