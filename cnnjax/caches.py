"""What can be computed again is kept in the user's cache folder: decoded data, programs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def folder() -> Path:
    """Returns $CNNJAX_CACHE, or `cnnjax` in the user's cache folder; it need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CNNJAX_CACHE") or Path(base) / "cnnjax")


def keep_programs() -> None:
    """Lets JAX keep every program it compiles, for the next process; call before importing jax.

    JAX_COMPILATION_CACHE_DIR, where set, says where, and empty turns this off; a folder that cannot
    be written is done without.
    """
    programs = folder() / "programs"
    with contextlib.suppress(OSError):
        programs.mkdir(parents=True, exist_ok=True)
    if os.access(programs, os.W_OK):
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(programs))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
