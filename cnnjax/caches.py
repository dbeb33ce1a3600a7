"""What can be computed again is kept in the user's cache folder: decoded data, programs."""

from __future__ import annotations

import collections
import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# What compiles programs, or a part of them.
COMPILERS = ("jax", "jaxlib", "jax-cuda12-plugin", "jax-cuda13-plugin", "libtpu")
# How JAX reports that a program was asked for, and that it was there already.
ASKED, FOUND = "/jax/core/compile/backend_compile_duration", "/jax/compilation_cache/cache_hits"


def folder() -> Path:
    """Returns $CNNJAX_CACHE, or `cnnjax` in the user's cache folder; it need not exist yet.

    A user without a home directory, such as a bare uid in a container, gets a temporary folder.
    """
    if named := os.environ.get("CNNJAX_CACHE"):
        return Path(named)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "cnnjax"
    try:
        return Path.home() / ".cache" / "cnnjax"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"cnnjax-{os.getuid()}"


def keep_programs() -> None:
    """Lets JAX keep every program it compiles, for the next process; call before importing jax.

    JAX_COMPILATION_CACHE_DIR, where set, says where, and empty turns this off; a folder that cannot
    be written, or that another user has made, is done without.
    """
    programs = folder() / "programs" / compilers_and_processor()
    with contextlib.suppress(OSError):
        programs.mkdir(parents=True, exist_ok=True)
    if os.access(programs, os.W_OK) and ours(folder()):
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(programs))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def ours(cache: Path) -> bool:
    """Returns whether no stranger can have put programs there: anybody may write to /tmp."""
    return cache.parent != Path(tempfile.gettempdir()) or cache.stat().st_uid == os.getuid()


def compilers_and_processor() -> str:
    """Returns a name for what programs may be shared between: versions, and kind of processor.

    Entries of another version have crashed, and those of another processor are useless.
    """
    words = []
    for package in COMPILERS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            words.append(f"{package}-{importlib.metadata.version(package)}")
    return "_".join([*words, platform.machine(), processor()])


def processor() -> str:
    """Returns eight digits that stand for the model of the processor and what it can do."""
    described = platform.processor()
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
        # As x86 and ARM name them; others, such as the clock, change while one looks.
        telling = ("model name", "flags", "Features", "CPU implementer", "CPU part", "CPU variant")
        described = "\n".join(line for line in first if line.startswith(telling))
    return hashlib.sha256(described.encode()).hexdigest()[:8]


def counter() -> Callable[[], dict[str, int]]:
    """Returns a function that says how many programs were found and compiled since this call."""
    before = dict(counted())

    def since() -> dict[str, int]:
        asked, found = (counted()[event] - before.get(event, 0) for event in (ASKED, FOUND))
        return {"found": found, "compiled": asked - found}

    return since


def missed(programs: Mapping[str, int], *circumstances: Any) -> str | None:
    """Returns a sentence where a run began in these circumstances before and found few programs.

    Which those were is kept beside the programs themselves, so that emptying the folder is no miss.
    """
    kept = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if not kept or not programs["compiled"]:
        return None
    text = json.dumps(circumstances, sort_keys=True, default=str)
    mark = Path(kept) / f"{hashlib.sha256(text.encode()).hexdigest()}-run"
    again = mark.exists()
    with contextlib.suppress(OSError):
        mark.touch()
    if not again or programs["found"] >= programs["compiled"]:
        return None
    return (
        f"{programs['compiled']} programs were compiled anew and {programs['found']} found, though "
        f"{kept} has them from a run like this: JAX could not use them (jax-ml/jax#38445, for one)"
    )


@functools.cache
def counted() -> collections.Counter[str]:
    """Returns how often this process has asked for programs and found them, from now on."""
    from jax import monitoring

    count: collections.Counter[str] = collections.Counter()

    def listen(event: str, *_, **__) -> None:
        if event in (ASKED, FOUND):
            count[event] += 1

    monitoring.register_event_listener(listen)
    monitoring.register_event_duration_secs_listener(listen)
    return count
