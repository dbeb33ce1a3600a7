"""The entry points, from a checkout or an installation, and how to write them in a shell.

A checkout has `experiments` and `configs` beside the package; a wheel carries them in
`cnnjax/home`, since names as common as these must not be taken in everybody's site-packages.
"""

from __future__ import annotations

import ast
import importlib.util
import os
from pathlib import Path
from types import ModuleType

from cnnjax.errors import InputError

HOME = Path(__file__).parent / "home"
if not HOME.is_dir():
    HOME = Path(__file__).parents[1]
# In the environment of whoever was started by `cnnjax NAME`.
SWITCH = "CNNJAX_COMMAND"
# Parts of the others.
INSIDE = (
    "configuration", "faults", "findings", "help", "launch", "networks", "printed",
    "processes", "registering", "weights",
)  # fmt: skip


def spelled(name: str) -> str:
    """Returns how the user starts an entry point: as this process was started."""
    return f"cnnjax {name}" if os.environ.get(SWITCH) else f"python -m experiments.{name}"


def names() -> dict[str, str]:
    """Returns the entry points, and what each is for: the first sentence of its file."""
    found = {}
    for path in sorted((HOME / "experiments").glob("[a-z]*.py")):
        if path.stem not in INSIDE:
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            found[path.stem] = " ".join(text.partition("\n\n")[0].split())
    return found


def config_file(name: str) -> str:
    """Returns the path of a config file as given, or that of ours of this name, where it is none.

    "configs/mnist.py:lenet5", "mnist.py:lenet5" and "mnist:lenet5" are the same from everywhere.
    """
    path, colon, variant = name.partition(":")
    if not path or Path(path).expanduser().exists():
        return name
    for ours in (HOME / path, HOME / "configs" / path, HOME / "configs" / f"{path}.py"):
        if ours.is_file() and ours.parent == HOME / "configs":
            return f"{ours}{colon}{variant}"
    return name


def loaded(name: str, what: str) -> ModuleType:
    """Returns a Python file, by its path or as `config_file` says, run as a module of its own.

    Raises InputError, whose subject is `what`, for a file that is not there or fails.
    """
    path = Path(config_file(name)).expanduser()
    spec = importlib.util.spec_from_file_location(f"loaded_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError(f"{what} does not exist, or is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # of code that is not ours
        raise InputError(f"{what} cannot be run: {type(error).__name__}: {error}") from error
    return module
