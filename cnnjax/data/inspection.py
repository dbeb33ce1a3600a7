"""Looks at every image of a folder before anything is trained on it: facts, file by file."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnjax import images
from cnnjax.data import workers
from cnnjax.data.folders import Folder, printable
from cnnjax.errors import InputError
from cnnjax.images.examine import Facts, examine

# A near-duplicate is found by its looks at this size.
SIDE = 16
# Pixels count as flat below this standard deviation, of 255: two skies are no duplicates.
FLAT = 3.0


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """One file and what was found in it.

    Attributes:
      error: why it cannot be read; then the rest is empty.
      digest: of the decoded pixels, so that copies in other files and formats are equal.
      look: grey, SIDE x SIDE, with mean 0 and length 1: the product of two is their correlation.
        None for a flat image.
    """

    file: Path
    name: str
    split: str
    label: int
    error: str = ""
    facts: Facts | None = None
    digest: bytes = b""
    look: np.ndarray | None = None


def look(pixels: np.ndarray) -> np.ndarray | None:
    """Returns the `look` of uint8 pixels (height, width, channels)."""
    grey = pixels.mean(-1).round().astype(np.uint8)[..., None]
    record = images.Preprocessing((SIDE, SIDE), interpolation="box", channels=1)
    small = images.resized(grey, record).astype(np.float32).ravel()
    small -= small.mean()
    length = float(np.linalg.norm(small))
    return small / length if length > FLAT * SIDE else None


def see(file: Path, name: str, split: str, label: int) -> Seen:
    """Reads one file; what cannot be read is told in its `error`."""
    try:
        facts, pixels = examine(file, name)
    except InputError as error:
        return Seen(file, name, split, label, error=str(error))
    digest = hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).digest()
    return Seen(file, name, split, label, "", facts, digest, look(pixels))


def inspect(folder: Folder) -> list[Seen]:
    """Reads every file of a folder, in parallel, with a progress bar; in the folder's order."""
    root = folder.path if folder.path.is_dir() else folder.path.parent
    todo = [
        (file, printable(Path(os.path.relpath(file, root))), split, label)
        for split, examples in folder.splits.items()
        for file, label in zip(examples.files, examples.labels, strict=True)
    ]
    return list(workers.each(lambda item: see(*item), todo, "reading images"))


def equal_groups(seen: Sequence[Seen]) -> list[list[int]]:
    """Returns the places of images whose pixels are equal, in groups of two or more."""
    groups: dict[bytes, list[int]] = {}
    for i, one in enumerate(seen):
        if not one.error:
            groups.setdefault(one.digest, []).append(i)
    return [group for group in groups.values() if len(group) > 1]


def near_pairs(seen: Sequence[Seen], least: float, block: int = 2048) -> list[tuple[int, int]]:
    """Returns pairs of places of images that look alike: correlation `least` or more, not equal.

    Compares all with all, in blocks: 10,000 images are 26 GFLOP.
    """
    places = [i for i, one in enumerate(seen) if one.look is not None]
    if not places:
        return []
    looks = np.stack([one.look for one in seen if one.look is not None])
    pairs = []
    for start in range(0, len(looks), block):
        likeness = looks[start : start + block] @ looks[start:].T
        for row, column in np.argwhere(likeness >= least).tolist():
            first, second = places[start + row], places[start + column]
            if column > row and seen[first].digest != seen[second].digest:
                pairs.append((first, second))
    return pairs
