"""Stand-ins for what a pickle of PyTorch names besides tensors: they hold values and run nothing.

A class that is not known becomes a class of ours with the same name, whose objects keep their state
as a dict. A pickle may make such an object and fill it, as it does for a module that was saved as
a whole; calling anything that is not in `CALLS` is refused by its name.
"""

from __future__ import annotations

import itertools
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO, cast

import numpy as np

from cnnjax.errors import InputError

ADVICE = (
    "only tensors are read from a pickle; torch.save(model.state_dict(), path) writes such a file"
)
LARGEST = 64 << 20  # bytes of one pickle without the storages of its tensors
UNUSED = {"BYTEARRAY8", "EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEXT_BUFFER", "READONLY_BUFFER"}
OPERATIONS = {operation.code.encode("latin1"): operation for operation in pickletools.opcodes}


class Refusing(type):
    """The type of stand-in classes: they can be neither called nor changed by a pickle."""

    def __call__(cls, *_: Any, **__: Any) -> Any:
        raise InputError(f"refused {cls.__qualname__}: {ADVICE}")

    def __setattr__(cls, name: str, value: Any) -> None:
        raise InputError(f"refused to change {cls.__qualname__}")


class Inert(metaclass=Refusing):
    """An object of a class that is not looked up; `state` is what the pickle said of it."""

    __slots__ = ("arguments", "items", "state")

    def __new__(cls, *arguments: Any, **_: Any) -> Inert:
        made = object.__new__(cls)
        object.__setattr__(made, "arguments", arguments)
        object.__setattr__(made, "state", {})
        object.__setattr__(made, "items", {})
        return made

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
            state = {**(state[0] or {}), **state[1]}
        object.__setattr__(self, "state", state if isinstance(state, dict) else {"": state})

    def __setattr__(self, name: str, value: Any) -> None:
        raise InputError(f"refused to change {name} of {type(self).__qualname__}")

    def __setitem__(self, key: Any, value: Any) -> None:  # of classes derived from dict
        self.items[key] = value

    def append(self, value: Any) -> None:  # of classes derived from list
        self.items[len(self.items)] = value

    def __repr__(self) -> str:
        return type(self).__qualname__


def stand_in(module: str, name: str) -> type:
    """Returns a class that stands for `module.name` and can only be filled."""
    label = f"{module}.{name}"
    return Refusing(name, (Inert,), {"__slots__": (), "__qualname__": label, "__module__": module})


class Callee:
    """What a pickle may call. Without attributes, so that a pickle cannot set any on it."""

    __slots__ = ()


class Told(Callee):
    """A call that stands for nothing but itself: an object of the class, with its arguments."""

    __slots__ = ("kind",)

    def __init__(self, module: str, name: str):
        self.kind = stand_in(module, name)

    def __call__(self, *arguments: Any) -> Any:
        return self.kind.__new__(self.kind, *arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "kind" or hasattr(self, "kind"):
            raise InputError(f"refused to change {name}")
        object.__setattr__(self, name, value)


class Listed(Callee):
    """A list, tuple or set of its one argument."""

    __slots__ = ()

    def __call__(self, values: Any = (), *_: Any) -> list[Any]:
        if not isinstance(values, list | tuple):
            raise InputError(f"refused a list of a {type(values).__name__}")
        return list(values)


class Rebuilt(Callee):
    """`copyreg._reconstructor(class, object, None)`: an object that is filled afterwards."""

    __slots__ = ()

    def __call__(self, kind: Any, *_: Any) -> Any:
        if not isinstance(kind, Refusing):
            raise InputError("refused copyreg._reconstructor of something that is no class")
        return cast(Any, kind).__new__(kind)


class Encoded(Callee):
    """`_codecs.encode(text, "latin1")`: how protocol 2 spells bytes."""

    __slots__ = ()

    def __call__(self, text: Any, coding: Any = "latin1") -> bytes:
        if not isinstance(text, str) or coding not in ("latin1", "latin-1"):
            raise InputError(f"refused _codecs.encode to {coding!r}")
        return text.encode("latin1")


class Scalar(Callee):
    """`numpy._core.multiarray.scalar(dtype, bytes)`: the number."""

    __slots__ = ()

    def __call__(self, dtype: Any, value: Any = b"") -> Any:
        code = dtype.arguments[0] if isinstance(dtype, Inert) and dtype.arguments else None
        if not isinstance(code, str) or code[:1] not in "fiub" or len(code) > 3:
            raise InputError(f"refused a numpy scalar of type {code!r}")
        if not isinstance(value, bytes) or len(value) != np.dtype(code).itemsize:
            raise InputError("a numpy scalar of another size than its type's")
        return np.frombuffer(value, np.dtype(code).newbyteorder("<"))[0].item()


CALLS: dict[tuple[str, str], Callable[..., Any]] = {
    **{(m, n): Listed() for m in ("builtins", "__builtin__") for n in ("set", "frozenset", "list")},
    **{
        (m, n): Told(m, n)
        for m, n in [
            ("torch", "device"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("collections", "defaultdict"),
            ("datetime", "datetime"),
        ]
    },
    **{
        (m, n): Told(m, n)
        for m in ("pathlib", "pathlib._local")
        for n in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath")
    },
    **{
        ("torch.jit._pickle", f"build_{kind}list"): Listed()
        for kind in ("int", "tensor", "double", "bool")
    },
    ("torch", "Size"): Listed(),
    ("copyreg", "_reconstructor"): Rebuilt(),
    ("copy_reg", "_reconstructor"): Rebuilt(),
    ("_codecs", "encode"): Encoded(),
    ("numpy.core.multiarray", "scalar"): Scalar(),
    ("numpy._core.multiarray", "scalar"): Scalar(),
}


def check(file: BinaryIO, size: int) -> None:
    """Refuses a pickle that would allocate what its file does not hold; `file` stays where it is.

    The unpickler keeps a table as long as the largest index that a pickle names, whether or not
    anything lies there.
    """
    start = file.tell()
    for count in itertools.count():
        if file.tell() - start > LARGEST:
            raise InputError(f"its pickle is longer than {LARGEST >> 20} MiB without its tensors")
        opcode, argument = operation(file)
        if opcode.endswith("PUT") and argument > count:
            raise InputError(f"a pickle that names its {argument}th value of {count}")
        if opcode == "FRAME" and argument > size:
            raise InputError("a frame that is longer than the file")
        if opcode == "STOP":
            break
    file.seek(start)


def operation(file: BinaryIO) -> tuple[str, Any]:
    """Returns the name and the argument of the next operation of a pickle."""
    code = file.read(1)
    known = OPERATIONS.get(code)
    if known is None:
        raise InputError("its pickle ends early, or is damaged")
    if known.name in UNUSED:
        raise InputError(f"refused {known.name} in a pickle: torch.save writes none")
    argument = known.arg.reader(file) if known.arg else None
    return known.name, argument
