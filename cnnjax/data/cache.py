"""Decoded pixels in the user's cache folder: what is lost there can be made again."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cnnjax import caches

KEPT = 3  # files of one name: a set that has changed, or is wanted in other sizes


def cached(
    name: str, digest: str, read: Callable[[], Mapping[str, np.ndarray]]
) -> Mapping[str, np.ndarray]:
    """Returns the arrays that `read` returns, from the cache where it has them under this digest.

    A file is written beside its name and moved, so that no half of one is read. One that cannot be
    read, whatever is wrong with it, is made anew; where the cache cannot be used, all is read every
    time.
    """
    file = caches.folder() / "datasets" / f"{name}-{digest[:16]}.npz"
    # Zip, zlib, numpy and the disk have an error each for a file that was cut or changed.
    with contextlib.suppress(Exception), file.open("rb") as stream:
        with np.load(stream, allow_pickle=False) as stored:
            result = {key: stored[key] for key in stored.files}
        os.utime(file)
        return result
    result = read()
    with contextlib.suppress(OSError):
        store(file, result)
        for old in ours(file.parent, name)[KEPT:]:
            old.unlink()
    return result


def store(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
        try:
            np.savez(part, allow_pickle=False, **arrays)
            os.replace(part.name, file)
        except BaseException:
            os.unlink(part.name)
            raise


def ours(folder: Path, name: str) -> list[Path]:
    """Returns the files of a name, the last used first."""
    found = [p for p in folder.glob("*.npz") if p.name[: -len("-0123456789abcdef.npz")] == name]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
