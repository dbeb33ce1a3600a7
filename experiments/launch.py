"""How every entry point starts and ends: flags, plain errors, exit statuses.

0 done; 1 failed; 2 unusable arguments; 75 stopped on request with everything saved.
"""

from __future__ import annotations

import errno
import logging as standard_logging
import os
import re
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags, logging

from cnnjax import caches, memory, output, paths
from cnnjax.errors import Failure, InputError
from experiments import INTERRUPTED, catching, configuration, help

START = time.perf_counter()
FAILED, UNUSABLE = 1, 2


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Runs `main(arguments left after the flags)` and exits with what it returns."""
    # May start the program anew, without this handler of signals until the package is imported.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    memory.use_huge_pages()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    output.watch()
    app.run(lambda arguments: guarded(main, arguments), flags_parser=parse)


def guarded(main: Callable[[Sequence[str]], int | None], arguments: Sequence[str]) -> int | None:
    if not flags.FLAGS["verbosity"].present:
        # What libraries log below this (a TPU that is not there, ...) is noise to whoever trains.
        logging.set_verbosity(logging.WARNING)
        hush()
    caches.keep_programs()
    try:
        with catching():
            status = main(arguments[1:])
            sys.stdout.flush()
        return status
    except InputError as error:
        return refuse(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if lost := output.lost(error):
            return give_up(lost)
        if (reason := failed(error) or shortage(error) or no_device(error)) is None:
            raise
        print(f"error: {reason}", file=sys.stderr)
        return FAILED


def failed(error: Exception) -> str | None:
    """Returns the sentence of a run that cannot go on; None for other errors."""
    if not isinstance(error, Failure):
        return None
    from cnnjax import platform

    wrong = isinstance(error, platform.Wrong) and "ignore_platform" in flags.FLAGS
    return f"{error}. With --ignore_platform it goes on all the same" if wrong else str(error)


def give_up(lost: output.Lost) -> int:
    """Ends output that cannot be written; a reader who has closed a pipe needs no word."""
    output.discard()
    if lost.errno != errno.EPIPE:
        print(f"error: standard output cannot be written: {lost.strerror}", file=sys.stderr)
    return FAILED


def shortage(error: Exception) -> str | None:
    """Returns the sentence for an error that says what there was too little of; None for others.

    TensorStore and XLA say RESOURCE_EXHAUSTED of files as of memory.
    """
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    for number in (errno.EMFILE, errno.ENFILE):
        if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            return f"more files are open than the {limit} allowed: raise the limit (`ulimit -n`)"
    if isinstance(error, MemoryError):
        return f"not enough memory ({text})"
    if "RESOURCE_EXHAUSTED" in text:
        return (
            "the memory of the device does not hold this: a smaller batch_size may help, and on a "
            f"GPU or TPU a larger optimizer.accumulate ({text})"
        )
    return None


def no_device(error: Exception) -> str | None:
    """Returns the sentence where JAX finds no devices, which a bare AssertionError may say."""
    frames = (frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__))
    if not any(c.co_name == "backends" and c.co_filename.endswith("xla_bridge.py") for c in frames):
        return None
    reason = str(error).partition(" (set JAX_PLATFORMS")[0].splitlines() or ["there are none"]
    asked = os.environ.get("JAX_PLATFORMS", "")
    return f"JAX_PLATFORMS={asked!r} cannot be had here, and cpu can: {reason[0][:200]}"


def hush() -> None:
    """Keeps libraries from printing what reaches us anyway, or says nothing to whoever trains.

    Orbax's threads tell of errors. Pillow tells of damaged EXIF blocks without the file's name, and
    what it cannot read raises.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.get_absl_handler().addFilter(lambda record: "orbax" not in record.pathname)
    standard_logging.getLogger("asyncio").setLevel(standard_logging.CRITICAL)
    usual = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        # TensorStore reports to an event loop that has ended with the first error.
        if str(unraisable.exc_value) != "Event loop is closed":
            usual(unraisable)

    sys.unraisablehook = hook


def parse(arguments: Sequence[str], values: flags.FlagValues = flags.FLAGS) -> list[str]:
    """Parses the flags; whatever is wrong with them ends in one line instead of a traceback."""
    try:
        if (topic := help.wanted(arguments)) is not None:
            help.show(topic)
            sys.exit()
        return values(configuration.found(arguments))
    except flags.UnrecognizedFlagError as error:
        sys.exit(refuse(field_meant(error.flagname, values) or str(error).splitlines()[-1]))
    except flags.IllegalFlagValueError as error:
        sys.exit(refuse(section_meant(str(error)) or str(error).strip().splitlines()[-1]))
    except (flags.Error, InputError, AttributeError, KeyError, TypeError, ValueError) as error:
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        sys.exit(refuse(lines[-1] if lines else repr(error)))
    except Exception as error:  # of a config file, which is anybody's code
        sys.exit(refuse(f"the config file cannot be run: {type(error).__name__}: {error}"))


def field_meant(name: str, values: flags.FlagValues) -> str | None:
    """Returns the sentence for --FIELD=VALUE where --config.FIELD=VALUE was meant."""
    from cnnjax import config
    from cnnjax.errors import ABBREVIATIONS

    if "config" not in values:
        return None
    known = config.flatten(config.default().to_dict())
    word = ABBREVIATIONS.get(name, name)
    meant = [field for field in known if word in (field, field.rpartition(".")[2])]
    if not meant:
        return None
    fields = ", ".join(f"--config.{field}" for field in meant)
    return f"unknown flag --{name}; did you mean {fields}?"


def section_meant(text: str) -> str | None:
    """Returns the sentence for --config.SECTION=VALUE, which ml_collections parses as Python."""
    from cnnjax import config

    given = re.match(r"flag --config\.(\w+)=(.*): Failed to parse .* as a ConfigDict", text, re.S)
    if given and isinstance(config.FIELDS.get(given[1]), dict):
        return config.section_is(given[1], given[2])
    return None


def refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return UNUSABLE


def seconds() -> float:
    """Returns the time since this process began, but for what Python itself took."""
    return time.perf_counter() - START


def existing_workdir(value: str | None) -> Path:
    """Returns the --workdir of a run that exists."""
    if not value:
        raise InputError("--workdir=DIR is missing: the directory of a run")
    path = paths.expanded(value)
    if not path.is_dir():
        raise InputError(f"workdir {value} does not exist")
    return path


def no_arguments(arguments: Sequence[str]) -> None:
    """Refuses words that are no flags."""
    if arguments:
        raise InputError(f"unexpected argument {arguments[0]!r}; flags start with --")
