"""What files of boxes say, whatever their format, and what is refused of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from cnnjax.data.folders import SPLITS, natural, printable
from cnnjax.errors import InputError, nearest

# Pixels by which a box may reach beyond its image, and is cut: of formats that count from 1 or
# round, and of people who draw.
BEYOND = 1.0


@dataclasses.dataclass(frozen=True)
class Box:
    """One object.

    Attributes:
      where: file and line or number, for people.
      corners: left, top, right and bottom: in pixels, or in shares of the image if `shares`.
      ignored: a crowd, or what a test shall leave aside.
      area: in pixels; None: that of the box.
    """

    where: str
    name: str
    corners: tuple[float, float, float, float]
    shares: bool = False
    ignored: bool = False
    area: float | None = None


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image file, and what is in it.

    Attributes:
      where: what names it, for people.
      split: train, validation, test, or "" where nothing says.
      size: height and width as the annotation has them, if it does.
    """

    file: Path
    where: str
    boxes: tuple[Box, ...]
    split: str = ""
    size: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Pictures:
    """What lies under a path: `class_names` is empty where the format has no list of them."""

    path: Path
    pictures: tuple[Picture, ...]
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def number(text: object, where: str, what: str) -> float:
    """Returns a finite number; InputError for anything else."""
    try:
        value = float(text)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        raise InputError(f"{where}: {what} is {text!r}, which is no number") from None
    if not np.isfinite(value) or isinstance(text, bool):
        raise InputError(f"{where}: {what} is {text!r}, which is no finite number")
    return value


def split_of(text: str) -> str:
    """Returns the split that the words of a name tell: "instances_val2017" is validation."""
    words = "".join(c if c.isalpha() else " " for c in text.casefold()).split()
    return next((SPLITS[word] for word in words if word in SPLITS), "")


def found_at(name: str, folders: Iterable[Path], where: str) -> Path:
    """Returns the image of that name in the first folder that has it, or InputError."""
    folders = list(dict.fromkeys(folders))
    for folder in folders:
        if name and (folder / name).is_file():
            return folder / name
    places = ", ".join(printable(folder) for folder in folders)
    raise InputError(f"{where}: the image {name!r} is not there; looked in {places}")


def once(pictures: Sequence[Picture]) -> None:
    """Refuses an image that is named twice."""
    seen: dict[Path, str] = {}
    for picture in pictures:
        before = seen.setdefault(picture.file.resolve(), picture.where)
        if before != picture.where:
            raise InputError(
                f"{picture.where}: the image {printable(picture.file.name)} was named before "
                f"({before})"
            )


def named(found: Pictures, classes: Sequence[str]) -> tuple[str, ...]:
    """Returns all class names: those given, those the format lists, or those that occur, sorted.

    Refuses a box of another class.
    """
    known = tuple(classes) or found.class_names
    boxes = [box for picture in found.pictures for box in picture.boxes]
    if not known:
        known = tuple(sorted({box.name for box in boxes}, key=natural))
    if len(set(known)) < len(known):
        twice = next(name for name in known if known.count(name) > 1)
        raise InputError(f"{printable(found.path)}: the class {twice!r} is named twice")
    for box in boxes:
        if box.name not in known:
            raise InputError(f"{box.where}: unknown class {box.name!r}{nearest(box.name, known)}")
    if not boxes:
        raise InputError(f"{printable(found.path)} holds no box")
    return known


def placed(box: Box, height: int, width: int) -> tuple[np.ndarray, bool]:
    """Returns the corners (4,) in pixels within the image, and whether they were cut.

    Raises InputError for a box that is inverted, empty, or beyond its image.
    """
    scale = np.array([width, height] * 2 if box.shares else [1] * 4)
    corners = np.array(box.corners, np.float64) * scale
    left, top, right, bottom = corners.tolist()
    text = f"{left:g}, {top:g} to {right:g}, {bottom:g}"
    if right < left or bottom < top:
        raise InputError(f"{box.where}: the box {text} is inverted")
    if right == left or bottom == top:
        raise InputError(f"{box.where}: the box {text} is empty")
    limits = np.array([width, height] * 2)
    cut = np.clip(corners, 0, limits)
    if np.abs(cut - corners).max() > BEYOND:
        raise InputError(
            f"{box.where}: the box {text} lies outside of its image of {width} x {height} pixels"
        )
    if cut[0] >= cut[2] or cut[1] >= cut[3]:
        raise InputError(f"{box.where}: the box {text} is empty within its image")
    return cut, bool((cut != corners).any())
