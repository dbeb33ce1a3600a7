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
import threading

from cnnjax.errors import InputError

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
    """oneDNN, and the processor as its engine; one thread at a time may have its `turn`."""

    def __init__(self, path: str) -> None:
        # The threads of OpenMP would otherwise spin after every call, in the way of those of XLA.
        given = "OMP_WAIT_POLICY" in os.environ
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        try:
            self.functions = ctypes.CDLL(path)
        finally:
            if not given:
                del os.environ["OMP_WAIT_POLICY"]
        # Functions too brief to let other threads of Python run meanwhile.
        brief = ctypes.PyDLL(path)
        self.set_address = brief.dnnl_memory_set_data_handle
        self.set_address.argtypes = (Handle, Handle)
        self.use_threads = brief.omp_set_num_threads
        self.threads = brief.omp_get_max_threads()
        self.functions.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
        self.functions.dnnl_primitive_desc_query_md.restype = Handle
        self.functions.dnnl_version.restype = ctypes.POINTER(Version)
        self.engine = self.create("dnnl_engine_create", CPU, ctypes.c_size_t(0))
        self.stream = self.create("dnnl_stream_create", self.engine, IN_ORDER)
        self.turn = threading.Lock()

    def call(self, name: str, *arguments) -> None:
        """Calls a function that returns a status; raises Refused where that is not success."""
        check(name, getattr(self.functions, name)(*arguments))

    def create(self, name: str, *arguments) -> Handle:
        """Returns what a function stores in the place that its first argument points to."""
        handle = Handle()
        self.call(name, ctypes.byref(handle), *arguments)
        return handle

    def place(self, memory: Handle, address: int) -> None:
        """Tells where in memory an array is."""
        check("dnnl_memory_set_data_handle", self.set_address(memory, address))

    def execute(self, kernel: Handle, arguments: ctypes.Array, alone: bool) -> None:
        """Runs a kernel; `alone`: by this thread only, as waking another takes 50 us."""
        if alone:
            self.use_threads(1)
        function = self.functions.dnnl_primitive_execute
        status = function(kernel, self.stream, len(arguments), arguments)
        if alone:
            self.use_threads(self.threads)
        check("dnnl_primitive_execute", status)

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
