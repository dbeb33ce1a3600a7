"""PyTorch's files read without PyTorch: an unpickler that builds tensors and nothing else.

A pickle is a program; `pickle.load` runs whatever its author wrote. Here the only names that a file
may call are the ways in which `torch.save` spells a tensor, and stand-ins for what lies beside in
checkpoints (`inert`); every other call is refused before anything happens. Tensors become numpy
arrays over the file's own storages, so views of one storage stay views. Both containers are read:
the zip archive (PyTorch 1.6 and later) and the sequence of pickles before it. The device a tensor
was saved from is ignored.
"""

from __future__ import annotations

import collections
import contextlib
import io
import math
import mmap
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, cast

import ml_dtypes
import numpy as np

from cnnjax.errors import InputError
from cnnjax.transfer import inert
from cnnjax.transfer.inert import Callee

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
STORAGES = {
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "BoolStorage": np.dtype(np.bool_),
    "ByteStorage": np.dtype(np.uint8),
    "CharStorage": np.dtype(np.int8),
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "IntStorage": np.dtype(np.int32),
    "LongStorage": np.dtype(np.int64),
    "ShortStorage": np.dtype(np.int16),
}
STORAGE_MODULES = ("torch", "torch.cuda")

# (dtype, storage key, elements, (first, count) of a view or None) -> one-dimensional array
FindStorage = Callable[[np.dtype, str, int, tuple[int, int] | None], np.ndarray]


def load(path: str | os.PathLike) -> Any:
    """Returns what `torch.save` wrote, with numpy arrays for tensors.

    Containers, numbers and strings come as they are; bfloat16 as `ml_dtypes.bfloat16`. Raises
    `InputError` for a damaged file, and for one that holds anything else.
    """
    with open(path, "rb") as file, damage_is_input_error(path):
        if file.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
            return load_zip(file)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
            return load_legacy(pages)


@contextlib.contextmanager
def damage_is_input_error(path: str | os.PathLike) -> Iterator[None]:
    """A damaged pickle can fail in any way at all; to the caller it is one thing."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path} is damaged, or not written by torch.save ({reason})") from error


def load_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        roots = [n[: -len("data.pkl")] for n in archive.namelist() if n.endswith("/data.pkl")]
        if len(roots) != 1:
            raise InputError("no data.pkl in it: a zip archive, but not one of torch.save")
        size = os.fstat(file.fileno()).st_size
        stored = [m for m in archive.infolist() if m.compress_type == zipfile.ZIP_STORED]
        if sum(member.file_size for member in stored) > size:
            raise InputError("its members overlap: they are larger than the archive")
        root, storages = roots[0], {}

        def read(name: str) -> bytes:
            if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
                raise InputError(f"{name} is compressed; torch.save compresses nothing")
            return archive.read(name)

        def find(dtype: np.dtype, key: str, count: int, view: Any) -> np.ndarray:
            del view
            if key not in storages:
                storages[key] = np.frombuffer(read(f"{root}data/{key}"), np.uint8)
            return typed(storages[key], dtype, count)

        if f"{root}byteorder" in archive.namelist() and read(f"{root}byteorder") != b"little":
            raise InputError("it was written on a big-endian machine: not supported")
        return TensorUnpickler(io.BytesIO(read(f"{root}data.pkl")), find).load()


def load_legacy(file: mmap.mmap) -> Any:
    """Reads magic number, protocol, machine, object, storage keys, then the storages' bytes.

    A damaged length asks for terabytes; a file would allocate them, mapped pages give what is left.
    """
    storages: dict[str, np.ndarray] = {}

    def find(dtype: np.dtype, key: str, count: int, view: tuple[int, int] | None) -> np.ndarray:
        """The bytes come after the object: hands out memory that is filled in later."""
        if key not in storages:
            claimed = sum(s.nbytes for s in storages.values()) + count * dtype.itemsize
            if not 0 <= claimed <= len(file):
                raise InputError(f"storage {key} would be larger than the file: it is truncated")
            storages[key] = np.zeros(count * dtype.itemsize, np.uint8)
        whole = typed(storages[key], dtype, count)
        return whole if view is None else whole[slice(view[0], view[0] + view[1])]

    def no_storage(*_: Any) -> np.ndarray:
        raise InputError("a tensor where none belongs")

    if TensorUnpickler(file, no_storage).load() != LEGACY_MAGIC:
        raise InputError("a pickle, but not one of torch.save")
    if TensorUnpickler(file, no_storage).load() != LEGACY_PROTOCOL:
        raise InputError("written with an unknown protocol")
    if not TensorUnpickler(file, no_storage).load()["little_endian"]:
        raise InputError("it was written on a big-endian machine: not supported")
    result = TensorUnpickler(file, find).load()
    keys = TensorUnpickler(file, no_storage).load()
    for key in keys:
        count, storage = int.from_bytes(file.read(8), "little"), storages[key]
        values = np.frombuffer(file.read(storage.nbytes), np.uint8)
        if len(values) != storage.nbytes or storage.nbytes % max(count, 1):
            raise InputError(f"storage {key} is truncated")
        storage[:] = values
    if missing := storages.keys() - set(keys):
        raise InputError(f"storages {sorted(missing)} are missing: the file is truncated")
    return result


def typed(storage: np.ndarray, dtype: np.dtype, count: int) -> np.ndarray:
    if storage.nbytes != count * dtype.itemsize:
        raise InputError(f"a storage of {count} {dtype} has {storage.nbytes} bytes")
    return storage.view(dtype)


class TensorUnpickler(pickle.Unpickler):
    """Builds dicts, lists, tuples, numbers, strings and, through `find`, arrays."""

    def __init__(self, file: io.BytesIO | mmap.mmap, find: FindStorage):
        size = len(file) if isinstance(file, mmap.mmap) else file.getbuffer().nbytes
        inert.check(cast(BinaryIO, file), size)
        super().__init__(cast(BinaryIO, file), encoding="utf-8")
        self.find = find

    def find_class(self, module: str, name: str) -> Any:
        if module in STORAGE_MODULES and name in STORAGES:
            return name
        return ALLOWED.get((module, name)) or inert.stand_in(module, name)

    def persistent_load(self, pid: Any) -> np.ndarray:
        """Returns the storage that ("storage", type, key, device, elements, view) names."""
        tag, kind, key, _, count, *view = pid
        if tag != "storage" or kind not in STORAGES:
            raise InputError(f"refused the persistent object {tag!r} of type {kind!r}")
        bounds = None if not view or view[0] is None else (view[0][1], view[0][2])
        return self.find(STORAGES[kind], str(key), int(count), bounds)


class RebuildTensor(Callee):
    """`torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`, whose other arguments are hooks."""

    __slots__ = ()

    def __call__(
        self, storage: np.ndarray, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any
    ) -> np.ndarray:
        if not isinstance(storage, np.ndarray) or storage.ndim != 1:
            raise InputError("a tensor over something that is no storage")
        if len(size) != len(stride) or min((offset, *size, *stride), default=0) < 0:
            raise InputError(f"a tensor of size {size}, strides {stride} and offset {offset}")
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if math.prod(size) and (last >= len(storage) or math.prod(size) > len(storage)):
            raise InputError(f"a tensor of size {size} and strides {stride} at {offset} does not "
                             f"fit its storage of {len(storage)} elements")  # fmt: skip
        strides = tuple(s * storage.itemsize for s in stride)
        return np.lib.stride_tricks.as_strided(storage[offset:], tuple(size), strides)


class RebuildParameter(Callee):
    """`torch._utils._rebuild_parameter`: a parameter is its tensor."""

    __slots__ = ()

    def __call__(self, data: Any, *_: Any) -> Any:
        return data


ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor"): RebuildTensor(),
    ("torch._utils", "_rebuild_tensor_v2"): RebuildTensor(),
    ("torch._utils", "_rebuild_parameter"): RebuildParameter(),
    **inert.CALLS,
}
