"""What an HDF5 file or a Keras archive holds, read in a process of its own with limits."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.errors import InputError

CHILD = Path(__file__).with_name("hdf5_child.py")
# Members of a Keras archive, of which one tells it from the zip files of PyTorch.
ARCHIVED = frozenset(("config.json", "model.weights.h5", "metadata.json"))
# Weights hardly shrink when packed: values beyond this many times the file are a bomb.
RATIO, SMALL = 100, 64 << 20
MEMORY = 1 << 30  # address space of Python, NumPy and HDF5, beyond the values
SECONDS, BYTES_A_SECOND = 60, 20 << 20


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a file holds that concerns weights.

    Attributes:
      config: the text of config.json in an archive; None for a file of HDF5.
      attributes: path of a group or data set ("" for the root) -> name -> a string or a list.
      arrays: path -> values.
    """

    config: str | None
    attributes: dict[str, dict[str, Any]]
    arrays: dict[str, np.ndarray]


def read(path: str | os.PathLike) -> Contents:
    """Returns what the file holds; an InputError says what is refused or damaged.

    The bounds on values, memory and time follow from the size of the file.
    """
    size = os.path.getsize(path)
    most = max(SMALL, RATIO * size)
    memory, seconds = MEMORY + 2 * min(most, 2 * size + SMALL), SECONDS + size // BYTES_A_SECOND
    command = [sys.executable, "-P", str(CHILD), os.fspath(path), most, memory, seconds]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "HDF5_USE_FILE_LOCKING": "FALSE"}
    with tempfile.TemporaryFile() as out:
        try:
            done = subprocess.run(
                list(map(str, command)), stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.PIPE, timeout=2 * seconds, env=environment, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise InputError(f"{path}: reading it takes over {2 * seconds} seconds") from None
        if done.returncode == 3:
            raise InputError(f"cannot read {path}: {done.stderr.decode(errors='replace').strip()}")
        if done.returncode:
            raise InputError(f"cannot read {path}: it is damaged (the reader ended abnormally)")
        out.seek(0)
        return received(path, out, most)


def received(path: str | os.PathLike, out: Any, most: int) -> Contents:
    """Returns what the process wrote, which is not trusted either."""
    try:
        end = out.seek(0, io.SEEK_END)
        out.seek(0)
        length = int.from_bytes(out.read(8), "little")
        header = json.loads(out.read(min(length, end)))
        arrays = {}
        for name, kind, shape in header["datasets"]:
            dtype, count = np.dtype(kind), math.prod(shape)
            most -= count * dtype.itemsize
            if most < 0 or dtype.hasobject:
                raise ValueError(name)
            values = np.frombuffer(out.read(count * dtype.itemsize), dtype)
            arrays[name] = values.reshape(shape)
        return Contents(header["config"], header["attributes"], arrays)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"cannot read {path}: it is damaged ({error})") from error
