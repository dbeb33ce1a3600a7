"""safetensors files: a header of names, dtypes and shapes, then the numbers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors

from cnnjax.errors import InputError

LONGEST = 16 << 20  # bytes of a header: a hundred thousand tensors
DTYPES = {
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "BOOL": np.dtype(np.bool_),
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "I16": np.dtype(np.int16),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
}


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns tensor name -> array. (`safetensors.numpy` cannot read bfloat16.)"""
    content = Path(path).read_bytes()
    if (length := int.from_bytes(content[:8], "little")) > LONGEST:
        raise InputError(f"{path}: a header of {length:,} bytes; at most {LONGEST:,} are read")
    try:
        entries = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file, or damaged: {error}") from error
    unique(path, content[8 : 8 + length])
    for name, entry in entries:
        if entry["dtype"] not in DTYPES:
            raise InputError(f"{path}: {name} is of type {entry['dtype']}, which is not supported")
    return {
        name: np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in sorted(entries, key=lambda item: natural(item[0]))
    }


def metadata(path: str | os.PathLike) -> dict[str, str]:
    """Returns the file's own words, name -> text; empty where it has none."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(min(length, LONGEST))
    try:
        found = json.loads(header).get("__metadata__") or {}
        return {str(name): str(text) for name, text in found.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is not a safetensors file, or damaged: {error}") from error


def unique(path: str | os.PathLike, header: bytes) -> None:
    """Refuses a header with two entries of one name, of which the library would take one."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise InputError(f"{path}: a header with two entries of one name")
        return dict(pairs)

    json.loads(header, object_pairs_hook=once)


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key in which conv10 follows conv9; the order of the file says nothing."""
    words, word = [], ""
    for character in name:
        if word and character.isdigit() != word[-1].isdigit():
            words.append(word)
            word = ""
        word += character
    words.append(word)
    return [(int(w), "") if w.isdigit() else (-1, w) for w in words]
