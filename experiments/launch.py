"""How every entry point starts and ends: flags, plain errors, exit statuses.

0 done; 1 failed; 2 unusable arguments; 75 stopped on request with everything saved.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import app, flags, logging

from cnnjax import caches
from cnnjax.errors import InputError

UNUSABLE, INTERRUPTED = 2, 130


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Runs `main(arguments left after the flags)` and exits with what it returns."""
    app.run(lambda arguments: guarded(main, arguments), flags_parser=parse)


def guarded(main: Callable[[Sequence[str]], int | None], arguments: Sequence[str]) -> int | None:
    if not flags.FLAGS["verbosity"].present:
        # What libraries log below this (a TPU that is not there, ...) is noise to whoever trains.
        logging.set_verbosity(logging.WARNING)
    caches.keep_programs()
    try:
        return main(arguments[1:])
    except InputError as error:
        return refuse(str(error))
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def parse(arguments: Sequence[str]) -> list[str]:
    """Parses the flags; whatever is wrong with them ends in one line instead of a traceback."""
    try:
        return flags.FLAGS(list(arguments))
    except (flags.Error, InputError, AttributeError, KeyError, TypeError, ValueError) as error:
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        sys.exit(refuse(lines[-1] if lines else repr(error)))


def refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return UNUSABLE


def existing_workdir(value: str | None) -> Path:
    """Returns the --workdir of a run that exists."""
    if not value:
        raise InputError("--workdir=DIR is missing: the directory of a run")
    if not Path(value).is_dir():
        raise InputError(f"workdir {value} does not exist")
    return Path(value)


def no_arguments(arguments: Sequence[str]) -> None:
    """Refuses words that are no flags."""
    if arguments:
        raise InputError(f"unexpected argument {arguments[0]!r}; flags start with --")
