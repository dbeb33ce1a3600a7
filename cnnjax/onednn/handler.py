"""oneDNN's convolutions as an operation of XLA.

XLA calls a handler with a frame of its C interface, which xla/ffi/api/c_api.h defines in the folder
that `jax.ffi.include_dir` names. The handler is Python: it finds the program by a text that the
operation carries, and hands over the addresses. Other threads of Python run meanwhile.
"""

from __future__ import annotations

import ast
import ctypes
import functools
import threading
from collections.abc import Iterator, Mapping
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax.onednn.convolution import Convolution, Program, program
from cnnjax.onednn.ending import calls, wait_at_exit
from cnnjax.parallel import shaped_like

TARGET = "cnnjax_onednn_convolution"
METADATA, INTERNAL = 1, 13
# The version of XLA's interface that the structures below are of: that of jax 0.10.
INTERFACE = (0, 3)


class Version(ctypes.Structure):
    _fields_ = (("size", c_size_t), ("extension", c_void_p), ("major", c_int), ("minor", c_int))


class Api(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t), ("extension", c_void_p), ("version", Version), ("internal", c_void_p),
        ("create_error", c_void_p),
    )  # fmt: skip


class Metadata(ctypes.Structure):
    _fields_ = (("size", c_size_t), ("version", Version), ("traits", ctypes.c_uint32))


class Extension(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t), ("type", c_int), ("next", c_void_p), ("metadata", POINTER(Metadata))
    )  # fmt: skip


class Buffer(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t), ("extension", c_void_p), ("dtype", c_int), ("data", c_void_p),
    )  # fmt: skip


class Buffers(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t), ("extension", c_void_p), ("count", c_int64), ("types", c_void_p),
        ("buffers", c_void_p),
    )  # fmt: skip


class Text(ctypes.Structure):
    _fields_ = (("start", c_void_p), ("length", c_size_t))


class Attributes(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t), ("extension", c_void_p), ("count", c_int64), ("types", c_void_p),
        ("names", c_void_p), ("texts", POINTER(POINTER(Text))),
    )  # fmt: skip


class Frame(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t), ("extension", POINTER(Extension)), ("api", POINTER(Api)),
        ("context", c_void_p), ("stage", c_int), ("arguments", Buffers), ("results", Buffers),
        ("attributes", Attributes),
    )  # fmt: skip


class Complaint(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t), ("extension", c_void_p), ("message", c_char_p), ("code", c_int)
    )  # fmt: skip


@ctypes.CFUNCTYPE(c_void_p, POINTER(Frame))
def handler(pointer: Any) -> int | None:
    """Computes what a frame asks for, or says which interface this was written for."""
    frame = pointer.contents
    stay_known()
    try:
        if frame.extension and frame.extension.contents.type == METADATA:
            metadata = frame.extension.contents.metadata.contents
            metadata.version.major, metadata.version.minor = INTERFACE
            metadata.traits = 0
        else:
            with calls.one():
                compute(frame)
    except BaseException as error:  # Ctrl-C, too: no exception passes through C
        message = f"{type(error).__name__}: {error}".encode()
        complaint = Complaint(ctypes.sizeof(Complaint), None, message, INTERNAL)
        create = ctypes.CFUNCTYPE(c_void_p, POINTER(Complaint))(frame.api.contents.create_error)
        return create(ctypes.byref(complaint))
    return None


known = threading.local()


def stay_known() -> None:
    """Has Python keep what it knows of a thread of XLA, instead of making it anew at each call.

    That takes 30 us, and a step of resnet20 has 56 calls.
    """
    if not hasattr(known, "state"):
        known.state = ctypes.pythonapi.PyGILState_Ensure()


def compute(frame: Frame) -> None:
    text = frame.attributes.texts[0].contents
    run = planned(ctypes.string_at(text.start, text.length))
    run([*addresses(frame.arguments), *addresses(frame.results)])


def addresses(buffers: Buffers) -> Iterator[int]:
    """Yields where arrays are in memory."""
    for buffer in (c_void_p * buffers.count).from_address(buffers.buffers):
        yield c_void_p.from_address(buffer + Buffer.data.offset).value or 0


@functools.cache
def planned(text: bytes) -> Program:
    convolution = Convolution(*ast.literal_eval(text.decode()))
    found = program(convolution)
    if found is None:
        raise RuntimeError(f"oneDNN is not here, or not able to compute {convolution}")
    return found


@functools.cache
def registered() -> bool:
    """Returns whether XLA has taken the handler; a version with another interface refuses."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, (c_void_p, c_char_p, c_void_p)
    capsule = new(ctypes.cast(handler, c_void_p), None, None)
    try:
        jax.ffi.register_ffi_target(TARGET, capsule, platform="cpu", api_version=1)
    except jax.errors.JaxRuntimeError:
        return False
    wait_at_exit()
    return True


def computes(convolution: Convolution) -> bool:
    """Returns whether `convolve` can be asked for this: oneDNN is there and has a quick kernel."""
    return program(convolution) is not None and registered()


def convolve(convolution: Convolution, operands: Mapping[str, jax.Array]) -> jax.Array:
    """Returns the array of a convolution that is wanted, as an operation on a CPU.

    Args:
      convolution: one that `computes`.
      operands: its `operands` by name, float32; others are left alone.
    """
    found = program(convolution)
    assert found is not None
    given = [operands[name] for name in convolution.operands]
    results = (
        shaped_like(given[0], convolution.shape(convolution.wanted), jnp.float32),
        shaped_like(given[0], (found.scratch,), jnp.uint8),
    )
    call = jax.ffi.ffi_call(TARGET, results, vmap_method="sequential")
    return call(*given, plan=repr(tuple(convolution)))[0]
