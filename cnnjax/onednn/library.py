"""The shared library of oneDNN: where it is, and its C functions with their errors checked.

oneDNN (Apache-2.0, https://uxlfoundation.github.io/oneDNN/) is the library of kernels that PyTorch
computes with on a CPU. The PyPI package onednn-cpu-gomp has it as `lib/libdnnl.so.3`; the C
functions are stable within version 3.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import sys
from typing import Any

from cnnjax.errors import InputError
from cnnjax.onednn import native

# "0": without oneDNN; or the path of a library to be used.
SWITCH = "CNNJAX_ONEDNN"
PACKAGE, FILE = "onednn-cpu-gomp", "libdnnl.so.3"
# Of dnnl_types.h and dnnl_common_types.h.
CPU = 1
UNIMPLEMENTED = 3
IN_ORDER = 1

Handle = ctypes.c_void_p


class Refused(RuntimeError):
    """oneDNN does not compute what was asked for."""


class Version(ctypes.Structure):
    """The beginning of dnnl_version_t."""

    _fields_ = tuple((part, ctypes.c_int) for part in ("major", "minor", "patch"))


class Library:
    """oneDNN, with the processor as its engine, and the handler that calls it."""

    def __init__(self, path: str) -> None:
        # The threads of OpenMP would otherwise spin after every call, in the way of those of XLA.
        given = "OMP_WAIT_POLICY" in os.environ
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        try:
            self.functions = ctypes.CDLL(path)
        finally:
            if not given:
                del os.environ["OMP_WAIT_POLICY"]
        found = native.handler()
        if found is None:
            raise Refused("its handler cannot be compiled here")
        self.native = found
        self.functions.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
        self.functions.dnnl_primitive_desc_query_md.restype = Handle
        self.functions.dnnl_version.restype = ctypes.POINTER(Version)
        self.engine = self.create("dnnl_engine_create", CPU, ctypes.c_size_t(0))
        self.stream = self.create("dnnl_stream_create", self.engine, IN_ORDER)
        self.give()

    def call(self, name: str, *arguments) -> None:
        """Calls a function that returns a status; raises Refused where that is not success."""
        check(name, getattr(self.functions, name)(*arguments))

    def create(self, name: str, *arguments) -> Handle:
        """Returns what a function stores in the place that its first argument points to."""
        handle = Handle()
        self.call(name, ctypes.byref(handle), *arguments)
        return handle

    def give(self, **others: Any) -> None:
        """Gives the handler the functions that it calls, but for `others` of `native.Functions`."""
        names = {
            "create": "dnnl_primitive_create",
            "place": "dnnl_memory_set_data_handle",
            "execute": "dnnl_primitive_execute",
            "use_threads": "omp_set_num_threads",
        }
        calls = {name: getattr(self.functions, function) for name, function in names.items()}
        addresses = {name: ctypes.cast(call, Handle) for name, call in (calls | others).items()}
        threads = self.functions.omp_get_max_threads()
        given = native.Functions(**addresses, stream=self.stream, threads=threads)
        self.native.cnnjax_use(ctypes.byref(given))

    def keep(self, plan: native.Plan) -> None:
        """Gives the handler a plan."""
        self.native.cnnjax_keep(ctypes.byref(plan))

    @property
    def version(self) -> str:
        """As "3.2.0"."""
        found = self.functions.dnnl_version().contents
        return f"{found.major}.{found.minor}.{found.patch}"

    def text(self, name: str, *arguments) -> str:
        """Returns the text that a function stores so."""
        found = ctypes.c_char_p()
        self.call(name, *arguments, ctypes.byref(found))
        return (found.value or b"").decode()


def check(name: str, status: int) -> None:
    """Raises Refused where the status that a function has returned is not success."""
    if status:
        reason = "not implemented" if status == UNIMPLEMENTED else f"status {status}"
        raise Refused(f"oneDNN: {name}: {reason}")


@functools.cache
def library() -> Library | None:
    """Returns oneDNN, or None where there is none for this machine or CNNJAX_ONEDNN is 0.

    Nor is it used where the handler cannot be compiled and is not cached.

    Raises InputError where CNNJAX_ONEDNN names what is no such library.
    """
    given = os.environ.get(SWITCH)
    if given == "0" or sys.platform != "linux":
        return None
    for path in [given] if given else candidates():
        try:
            return Library(path)
        except (OSError, AttributeError, Refused) as error:
            if given:
                raise InputError(
                    f"{SWITCH} must be 0 or the path of {FILE}; given {given!r} ({error})"
                ) from None
    return None


def candidates() -> list[str]:
    """Returns where the library may be, the likeliest place first."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    return [*(str(file.locate()) for file in files if file.name == FILE), FILE]


def version() -> str | None:
    """Returns the version of the oneDNN in use, or None where there is none."""
    found = library()
    return found and found.version
