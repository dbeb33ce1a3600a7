"""Image files on disk as examples: which files, of which class, in which split. Reads no pixels.

A directory per class, whose images may lie at any depth; or directories train, validation and
test of such directories; or a CSV of file, label and, if wanted, split. What is passed over is
noted, and `described` says it aloud.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnjax.errors import InputError, nearest

ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff"
)  # fmt: skip
SPLITS = {
    "train": "train", "training": "train",
    "validation": "validation", "val": "validation", "valid": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
# What systems and programs leave in folders, besides names that begin with a full stop.
LITTER = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "__pycache__"}
LAYOUTS = (
    "expected is a directory per class, or train, validation and test with a directory per class, "
    "or a CSV of file and label"
)
UNLABELLED = -1


@dataclasses.dataclass(frozen=True)
class Examples:
    """Files in their order, and the label of each, or `UNLABELLED`."""

    files: tuple[Path, ...] = ()
    labels: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.files)


@dataclasses.dataclass(frozen=True)
class Folder:
    """What lies under a path.

    Attributes:
      splits: of train, validation and test those that the path itself tells apart; train alone
        where it does not.
      passed_over: why -> relative names of files and directories that are no examples.
      notes: sentences on what was assumed.
    """

    path: Path
    class_names: tuple[str, ...]
    splits: Mapping[str, Examples]
    passed_over: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return sum(map(len, self.splits.values()))


def printable(name: str | os.PathLike[str]) -> str:
    """Returns a file name that can be printed and stored: bytes that are no UTF-8 as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def natural(name: str) -> tuple[Any, ...]:
    """Returns a key that sorts 2 before 10, and capitals with their small letters."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple(int(p) if i % 2 else p for i, p in enumerate(parts)), name


def is_litter(name: str) -> bool:
    return name.startswith(".") or name.casefold() in LITTER


def is_image(name: str) -> bool:
    return name.casefold().endswith(ENDINGS)


class Notes:
    """Gathers what is passed over while a tree is walked."""

    def __init__(self, root: Path):
        self.root = root
        self.passed: dict[str, list[str]] = collections.defaultdict(list)

    def add(self, why: str, path: str | Path) -> None:
        self.passed[why].append(printable(os.path.relpath(path, self.root)))

    def frozen(self) -> dict[str, tuple[str, ...]]:
        return {why: tuple(names) for why, names in self.passed.items()}


def walk(
    top: Path, notes: Notes, deep: bool = True, above: frozenset[Any] = frozenset()
) -> Iterator[Path]:
    """Yields the images in a directory, and in those below if `deep`, naturally sorted.

    Links are followed, unless they lead in a circle.
    """
    try:
        status = os.stat(top)
        entries = sorted(os.scandir(top), key=lambda entry: natural(entry.name))
    except OSError as error:
        notes.add(f"cannot be listed ({error.strerror})", top)
        return
    here = (status.st_dev, status.st_ino)
    if here in above:
        notes.add("links that lead in a circle", top)
        return
    for entry in entries:
        if is_litter(entry.name):
            notes.add("hidden or left by a system", entry.path)
        elif entry.is_dir():
            if deep:
                yield from walk(Path(entry.path), notes, deep, above | {here})
        elif not entry.is_file():
            notes.add("neither file nor directory", entry.path)
        elif is_image(entry.name):
            yield Path(entry.path)
        else:
            ending = os.path.splitext(entry.name)[1].casefold() or "no ending"
            notes.add(f"no image by their ending ({printable(ending)})", entry.path)


def directories(path: Path) -> list[Path]:
    """Returns the directories in a directory, naturally sorted, without litter."""
    try:
        with os.scandir(path) as found:
            entries = [Path(entry.path) for entry in found if entry.is_dir()]
    except OSError as error:
        raise InputError(f"{printable(path)} cannot be listed: {error.strerror}") from None
    return sorted((p for p in entries if not is_litter(p.name)), key=lambda p: natural(p.name))


def images_under(path: Path) -> tuple[list[Path], dict[str, tuple[str, ...]]]:
    """Returns the images in a directory at any depth, and what was passed over, by why."""
    notes = Notes(path)
    return list(walk(path, notes)), notes.frozen()


def listed(path: str | Path, classes: Sequence[str] = ()) -> Folder:
    """Returns the examples under a path; raises InputError where it has no layout that is known.

    Args:
      path: a directory, or a CSV file.
      classes: all names in the order wanted; empty: naturally sorted.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(f"data.path {printable(path)} does not exist")
    if path.is_file():
        if path.suffix.casefold() not in (".csv", ".tsv"):
            raise InputError(f"data.path {printable(path)} is a file; {LAYOUTS}")
        from cnnjax.data.tables import read_table

        return read_table(path, classes)
    path, roots, remarks = layout(path)
    notes = Notes(path)
    found = {split: by_class(root, notes) for split, root in roots.items()}
    unlabelled = [split for split in found if list(found[split]) == [None]]
    for split in unlabelled:
        if split == "train":
            what = "images and no directory of a class" if found[split][None] else "no images"
            raise InputError(f"{printable(path)} holds {what}; {LAYOUTS}")
        remarks += (f"the {split} directory has no classes, and is left aside",)
        del found[split]
    present = {name for groups in found.values() for name in groups if name is not None}
    names = ordered({str(n) for n in found["train"] if n is not None}, classes, path)
    strange = sorted(present - set(names))
    if strange:
        guess = nearest(strange[0], names)
        raise InputError(f"{printable(path)}: no images of {strange[0]!r} in train{guess}")
    for files in (groups.pop(None, []) for groups in found.values()):
        for file in files:
            notes.add("in no class", file)
    number = {name: i for i, name in enumerate(names)}
    splits = {}
    for split, groups in found.items():
        pairs = [(file, number[str(n)]) for n in names for file in groups.get(n, ())]
        splits[split] = Examples(*map(tuple, zip(*pairs, strict=True))) if pairs else Examples()
    return Folder(path, names, splits, notes.frozen(), remarks)


def layout(path: Path) -> tuple[Path, dict[str, Path], tuple[str, ...]]:
    """Returns the root, the directory of each split, and remarks."""
    remarks: tuple[str, ...] = ()
    inner = directories(path)
    # An archive unpacked into a folder of its own name: flowers/flowers/rose/1.jpg.
    while len(inner) == 1 and SPLITS.get(inner[0].name.casefold()) != "train":
        deeper = directories(inner[0])
        if not deeper:
            break
        remarks = (f"{printable(path)} holds one directory only: {inner[0].name} is taken for it",)
        path, inner = inner[0], deeper
    named: dict[str, list[Path]] = collections.defaultdict(list)
    for directory in inner:
        named[SPLITS.get(directory.name.casefold(), "")].append(directory)
    others = named.pop("", [])
    if "train" not in named or (others and len(named) == 1):
        return path, {"train": path}, remarks  # "train" may well be a class, beside "ship"
    for split, found in named.items():
        if len(found) > 1:
            two = " and ".join(p.name for p in found)
            raise InputError(f"{printable(path)} holds {two}: which of them is {split}?")
    if others:
        splits = ", ".join(found[0].name for found in named.values())
        raise InputError(
            f"{printable(path)} holds {splits}, and also {printable(others[0].name)}, "
            "which is none of train, validation and test: move it elsewhere"
        )
    return path, {s: named[s][0] for s in ("train", "validation", "test") if s in named}, remarks


def by_class(root: Path, notes: Notes) -> dict[str | None, list[Path]]:
    """Returns class -> images; under None those that lie in no directory of a class."""
    groups: dict[str | None, list[Path]] = {}
    for directory in directories(root):
        files = list(walk(directory, notes))
        name = printable(unicodedata.normalize("NFC", directory.name))
        if name in groups:
            raise InputError(
                f"{printable(root)} holds {name!r} twice, spelt in two ways of Unicode"
            )
        if files:
            groups[name] = files
        else:
            notes.add("directories without images", directory)
    beside = list(walk(root, notes, deep=False))
    if beside or not groups:
        groups[None] = beside
    return groups


def ordered(found: set[str], classes: Sequence[str], path: Path) -> tuple[str, ...]:
    """Returns the names in the order that was given, or naturally sorted."""
    if not classes:
        names = tuple(sorted(found, key=natural))
        if not names:
            raise InputError(f"{printable(path)} holds no images; {LAYOUTS}")
        return names
    for name in classes:
        if name not in found:
            raise InputError(f"data.classes: no images of {name!r}{nearest(name, found)}")
    missing = sorted(found - set(classes))
    if missing or len(set(classes)) < len(classes):
        what = f"lacks {missing[0]!r}" if missing else "names a class twice"
        raise InputError(f"data.classes {what}: it must name all {len(found)} classes once")
    return tuple(classes)


def described(folder: Folder) -> list[str]:
    """Returns lines that say what was found: classes in order, splits, what was passed over."""
    names = folder.class_names
    shown = ", ".join(f"{i} {name}" for i, name in enumerate(names[:12]))
    more = f" and {len(names) - 12:,} more" if len(names) > 12 else ""
    sizes = ", ".join(f"{len(examples):,} {split}" for split, examples in folder.splits.items())
    lines = [f"{printable(folder.path)}: {sizes}; {len(names)} classes: {shown}{more}"]
    for why, passed in folder.passed_over.items():
        few = ", ".join(passed[:3]) + (", ..." if len(passed) > 3 else "")
        lines.append(f"passed over, {why}: {len(passed):,} ({few})")
    return lines + list(folder.notes)
