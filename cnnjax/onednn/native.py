"""The handler, `handler.c`, compiled once and kept in the cache folder, and what it is given.

XLA calls it from threads of its own, which Python is no part of: no call waits for the interpreter,
or for one that is going down.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from ctypes import POINTER, c_int, c_int32, c_int64, c_void_p
from pathlib import Path

import jax

from cnnjax import caches

SOURCE = Path(__file__).with_name("handler.c")
HEADER = Path("xla", "ffi", "api", "c_api.h")
# The compiler of $CC, or else the first of these.
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O2", "-shared", "-fPIC", "-pthread")
PATIENCE = 60


class Argument(ctypes.Structure):
    """dnnl_exec_arg_t."""

    _fields_ = (("number", c_int), ("memory", c_void_p))


# As in handler.c.
class Place(ctypes.Structure):
    _fields_ = (("memory", c_void_p), ("array", c_int64), ("offset", c_int64))


class Step(ctypes.Structure):
    _fields_ = (
        ("description", c_void_p), ("kernel", c_void_p), ("arguments", c_void_p),
        ("places", POINTER(Place)), ("argument_count", c_int32), ("place_count", c_int32),
        ("alone", c_int32),
    )  # fmt: skip


class Plan(ctypes.Structure):
    _fields_ = (
        ("number", c_int64), ("step_count", c_int64), ("steps", POINTER(Step)), ("next", c_void_p)
    )  # fmt: skip


class Functions(ctypes.Structure):
    _fields_ = (
        ("create", c_void_p), ("place", c_void_p), ("execute", c_void_p), ("use_threads", c_void_p),
        ("stream", c_void_p), ("threads", c_int32),
    )  # fmt: skip


@functools.cache
def handler() -> ctypes.CDLL | None:
    """Returns the compiled handler, or None where it cannot be compiled or loaded."""
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC") or "", *COMPILERS))), None)
    include = Path(jax.ffi.include_dir())
    try:
        digest = hashlib.sha256(SOURCE.read_bytes() + (include / HEADER).read_bytes())
        name = f"handler-{os.uname().machine}-{digest.hexdigest()[:16]}.so"
        with kept() as folder:
            if not (folder / name).exists():
                if compiler is None:
                    return None
                compile_handler(compiler, include, folder / name)
            return ctypes.CDLL(str(folder / name))
    except (OSError, subprocess.SubprocessError):
        return None


@contextlib.contextmanager
def kept() -> Iterator[Path]:
    """Yields the folder of what is compiled, or one that goes where that cannot be written."""
    folder = caches.folder() / "native"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK) and caches.ours(caches.folder()):
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="cnnjax-") as passing:
            yield Path(passing)


def compile_handler(compiler: str, include: Path, target: Path) -> None:
    """Compiles it beside its place and moves it there: several processes may be at it."""
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".so", delete=False) as file:
        part = Path(file.name)
    try:
        command = (compiler, *FLAGS, f"-I{include}", str(SOURCE), "-o", str(part))
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
