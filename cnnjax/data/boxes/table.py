"""A CSV of boxes: file, class, left, top, right and bottom in pixels, and split if one likes.

Other names of the columns are known, such as those of TensorFlow's and Roboflow's tables; without
names they stand as in keras-retinanet's: file, left, top, right, bottom, class. A file with nothing
else has no object.
"""

from __future__ import annotations

from pathlib import Path

from cnnjax.data.boxes.pictures import Box, Picture, Pictures, found_at, number
from cnnjax.data.folders import SPLITS, printable
from cnnjax.data.tables import COLUMNS, parsed
from cnnjax.errors import InputError

PLACES = {
    "left": ("left", "xmin", "x1", "x_min"),
    "top": ("top", "ymin", "y1", "y_min"),
    "right": ("right", "xmax", "x2", "x_max"),
    "bottom": ("bottom", "ymax", "y2", "y_max"),
}
KNOWN = {**COLUMNS, **PLACES}
BARE = ("file", *PLACES, "label")


def fits(path: Path) -> bool:
    return bool(files_of(path))


def files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.casefold() in (".csv", ".tsv") else []
    return sorted(path.glob("*.csv"))


def read(path: Path) -> Pictures:
    files = files_of(path)
    if len(files) > 1:
        names = ", ".join(printable(file.name) for file in files[:4])
        raise InputError(f"{printable(path)} holds several tables ({names}): name one of them")
    (file,) = files
    rows, columns = parsed(file, KNOWN, ("file", "label", *PLACES), BARE)
    splits: dict[str, tuple[str, str]] = {}
    boxes: dict[str, list[Box]] = {}
    for line, row in rows:
        where = f"{printable(file)}, line {line}"
        row = row + [""] * (max(columns.values()) + 1 - len(row))
        cells = {name: row[place] for name, place in columns.items()}
        word = cells.get("split", "").casefold()
        if word and word not in SPLITS:
            raise InputError(f"{where}: split {word!r} is none of train, validation and test")
        split = SPLITS.get(word, "")
        if splits.setdefault(cells["file"], (split, where))[0] != split:
            raise InputError(f"{where}: {cells['file']} is in another split, too")
        boxes.setdefault(cells["file"], []).extend(boxes_of(cells, where))
    folders = (file.parent, file.parent / "images")
    pictures = (
        Picture(found_at(name, folders, where), where, tuple(boxes[name]), split)
        for name, (split, where) in splits.items()
    )
    return Pictures(path, tuple(pictures))


def boxes_of(cells: dict[str, str], where: str) -> list[Box]:
    """Returns the box of a row, or none where all its cells are empty."""
    if not any(cells[name] for name in ("label", *PLACES)):
        return []
    if not cells["label"]:
        raise InputError(f"{where}: the class is missing")
    left, top, right, bottom = (number(cells[name], where, name) for name in PLACES)
    return [Box(where, cells["label"], (left, top, right, bottom))]
