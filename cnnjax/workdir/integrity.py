"""Digests of what a checkpoint holds: of its values when they were saved, and of its files.

Those of the values are the promise. Those of the files find damage before Orbax does, which would
answer with tracebacks out of its threads. Nothing else is damage: a checkpoint whose digests hold
is good, even where this program cannot use it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnnjax.workdir.files import write_json

SEAL = "record/files.json"


class Damaged(Exception):
    """A checkpoint is not what was saved."""


def digests(tree: Any) -> dict[str, int]:
    """Returns the CRC-32 of each leaf's bytes, dtype and shape, by its path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    result = {}
    for path, leaf in leaves:
        array = np.asarray(jax.device_get(leaf))
        head = f"{array.dtype} {array.shape}".encode()
        result[jax.tree_util.keystr(path)] = zlib.crc32(array.tobytes(), zlib.crc32(head))
    return result


def check_digests(name: str, expected: dict[str, int], found: dict[str, int]) -> None:
    """Raises Damaged for a leaf of item `name` that is not what it was."""
    wrong = [leaf for leaf in expected | found if expected.get(leaf) != found.get(leaf)]
    if wrong:
        raise Damaged(f"{name}{wrong[0]} does not have its digest")


def seal(folder: Path) -> None:
    """Writes down the digest of every file of the items of a checkpoint."""
    files = {str(path.relative_to(folder)): path for path in folder.glob("*/**/*")}
    listed = {name: of_file(p) for name, p in files.items() if p.is_file() and name != SEAL}
    write_json(folder / SEAL, listed)


def check_seal(folder: Path, items: Collection[str]) -> None:
    """Raises Damaged for a file of these items that is not what it was.

    Raises OSError where a file is there and cannot be read, which says nothing of what it holds.
    """
    try:
        sealed = dict(json.loads((folder / SEAL).read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        raise Damaged(f"{SEAL} is missing") from None
    except (ValueError, TypeError) as error:
        raise Damaged(f"{SEAL} is no list of digests: {error}") from None
    for name, digest in sealed.items():
        item = name.partition("/")[0]
        if not (folder / item).is_dir():  # the seal itself may be damaged
            raise Damaged(f"{item} is sealed and missing")
        if item not in items:
            continue
        try:
            found = of_file(folder / name)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise Damaged(f"{name} is sealed and missing") from None
        if found != digest:
            raise Damaged(f"{name} does not have its digest")


def of_file(path: Path) -> int:
    """Returns the CRC-32 of a file, which may be larger than the memory."""
    total = 0
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            total = zlib.crc32(block, total)
    return total
