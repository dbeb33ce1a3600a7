"""A CSV of image files and their labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from cnnjax.data.folders import SPLITS, Examples, Folder, ordered, printable
from cnnjax.errors import InputError

# What the columns are called, in any case of letters.
COLUMNS = {
    "file": (
        "file", "filename", "file_name", "path", "filepath", "file_path", "image", "image_path"
    ),
    "label": ("label", "class", "class_name", "target", "category"),
    "split": ("split", "set", "subset"),
}  # fmt: skip


def read_table(path: Path, classes: Sequence[str] = ()) -> Folder:
    """Returns the examples of a CSV, whose files are named from the folder that it lies in.

    Columns are found by their names, or stand in the order file, label, split where the first line
    is an example. Separated by commas, semicolons or tabs; UTF-8.
    """
    rows, columns = parsed(path)
    seen: dict[str, tuple[str, str]] = {}
    for number, row in rows:
        row = row + [""] * (max(columns.values()) + 1 - len(row))
        file, label = row[columns["file"]], row[columns["label"]]
        word = row[columns["split"]].casefold() if "split" in columns else "train"
        if not file or not label:
            raise InputError(f"{printable(path)}, line {number}: a file or its label is missing")
        if word not in SPLITS:
            raise InputError(
                f"{printable(path)}, line {number}: split {word!r} is none of train, validation "
                "and test"
            )
        if seen.setdefault(file, (label, SPLITS[word])) != (label, SPLITS[word]):
            raise InputError(f"{printable(path)} names {file} twice, with two labels or splits")
    missing = [file for file in seen if not (path.parent / file).is_file()]
    if missing:
        raise InputError(
            f"{printable(path)}: {len(missing):,} of {len(seen):,} files do not exist under "
            f"{printable(path.parent)}, {missing[0]} among them"
        )
    names = ordered({label for label, _ in seen.values()}, classes, path)
    found = {split for _, split in seen.values()}
    if "train" not in found:
        raise InputError(f"{printable(path)} names no training images: its splits are {found}")
    splits = {}
    for split in ("train", "validation", "test"):
        if split in found:
            chosen = [(path.parent / f, names.index(c)) for f, (c, s) in seen.items() if s == split]
            splits[split] = Examples(*map(tuple, zip(*chosen, strict=True)))
    trained = {names[i] for i in splits["train"].labels}
    if trained != set(names):
        raise InputError(
            f"{printable(path)}: class {min(set(names) - trained)!r} has no images in train"
        )
    return Folder(path, names, splits, {})


def parsed(
    path: Path,
    known: Mapping[str, Sequence[str]] = COLUMNS,
    needed: Sequence[str] = ("file", "label"),
    bare: Sequence[str] = tuple(COLUMNS),
) -> tuple[list[tuple[int, list[str]]], Mapping[str, int]]:
    """Returns (line, cells) of the examples, and the place of each column.

    Args:
      known: column -> the names that it may have.
      needed: those that must be there.
      bare: the order of a table whose first line is an example; the last may be missing where it is
        not needed.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{printable(path)} cannot be read: {error}") from None
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        rows = [(reader.line_num, [c.strip() for c in row]) for row in reader if any(row)]
    except csv.Error as error:
        raise InputError(f"{printable(path)}, line {reader.line_num}: {error}") from None
    if not rows:
        raise InputError(f"{printable(path)} is empty")
    head = [cell.casefold() for cell in rows[0][1]]
    columns = {
        column: next(head.index(name) for name in names if name in head)
        for column, names in known.items()
        if set(names) & set(head)
    }
    if set(needed) <= columns.keys():
        return rows[1:], columns
    if len(needed) <= len(head) <= len(bare) and (path.parent / rows[0][1][0]).is_file():
        return rows, dict(zip(bare, range(len(head)), strict=False))
    names = ", ".join(needed[:-1])
    raise InputError(
        f"{printable(path)} needs the columns {names} and {needed[-1]}, and may have split; "
        f"its first line is {first.strip()[:80]!r}"
    )
