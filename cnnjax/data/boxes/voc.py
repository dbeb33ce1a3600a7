"""Pascal VOC's XML (Everingham et al. 2010): a file per image, corners in pixels from 1.

A directory with `Annotations` and `JPEGImages`, and lists of the splits in `ImageSets/Main`; or XML
files beside their images, in a directory per split or not.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any
from xml.parsers import expat

from cnnjax.data.boxes.pictures import Box, Picture, Pictures, found_at, number, split_of
from cnnjax.data.folders import natural, printable
from cnnjax.errors import InputError

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclasses.dataclass
class Element:
    """An element of a file: its line, its text, and what is in it by name."""

    line: int
    text: str = ""
    inner: dict[str, list[Element]] = dataclasses.field(default_factory=dict)

    def word(self, *path: str) -> str:
        """Returns the text of the first element along the path, or ""."""
        element: Element | None = self
        for name in path:
            element = next(iter(element.inner.get(name, ())), None)
            if element is None:
                return ""
        return element.text.strip()


def fits(path: Path) -> bool:
    return bool(files_of(path))


def files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.casefold() == ".xml" else []
    return sorted(path.rglob("*.xml"), key=lambda file: natural(str(file)))


def read(path: Path) -> Pictures:
    root = path.parent if path.is_file() else path
    files = files_of(path)
    splits = lists_of(root, {file.stem for file in files})
    pictures, hard = [], 0
    for file in files:
        if splits and file.stem not in splits:
            continue
        picture = picture_of(file, root, splits.get(file.stem, ""))
        hard += sum(box.ignored for box in picture.boxes)
        pictures.append(picture)
    notes = (f"{hard:,} difficult objects are neither found nor missed",) if hard else ()
    return Pictures(path, tuple(pictures), notes=notes)


def lists_of(root: Path, stems: set[str]) -> dict[str, str]:
    """Returns the split of each name in `ImageSets/Main`."""
    found: dict[str, str] = {}
    for file in sorted((root / "ImageSets" / "Main").glob("*.txt")):
        split = split_of(file.stem) if "_" not in file.stem else ""  # cat_train lists a class
        for place, line in enumerate(file.read_text().splitlines() if split else (), 1):
            words, where = line.split(), f"{printable(file)}, line {place}"
            if not words:
                continue
            if words[0] not in stems:
                raise InputError(f"{where}: {words[0]!r} has no XML file")
            if found.setdefault(words[0], split) != split:
                raise InputError(f"{where}: {words[0]!r} is in {found[words[0]]} already")
    return found


def parsed(file: Path) -> Element:
    """Returns the outermost element; refuses what is no XML, and definitions of entities."""
    top = Element(1)
    open_: list[Element] = [top]
    parser = expat.ParserCreate()

    def start(name: str, attributes: Any) -> None:
        element = Element(parser.CurrentLineNumber)
        open_[-1].inner.setdefault(name, []).append(element)
        open_.append(element)

    def text(words: str) -> None:
        open_[-1].text += words

    def doctype(*parts: Any) -> None:
        raise InputError(f"{printable(file)}: a document type, which no annotation needs")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: open_.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(file.read_bytes(), True)
    except expat.ExpatError as error:
        raise InputError(f"{printable(file)}, line {error.lineno}: no XML: {error}") from None
    except OSError as error:
        raise InputError(f"{printable(file)} cannot be read: {error.strerror}") from None
    if "annotation" not in top.inner:
        raise InputError(f"{printable(file)} is none of Pascal VOC's: it needs an 'annotation'")
    return top.inner["annotation"][0]


def picture_of(file: Path, root: Path, split: str) -> Picture:
    annotation, where = parsed(file), printable(file)
    boxes = tuple(box_of(file, one) for one in annotation.inner.get("object", ()))
    name = annotation.word("filename") or f"{file.stem}.jpg"
    home = file.parent
    folders = (home, home.parent / "JPEGImages", root / "JPEGImages", root, root / "images")
    size = None
    if annotation.word("size", "width"):
        height, width = (number(annotation.word("size", n), where, n) for n in ("height", "width"))
        size = (int(height), int(width)) if height and width else None
    split = split or next((s for s in map(split_of, file.relative_to(root).parts[:-1]) if s), "")
    return Picture(found_at(name, folders, where), where, boxes, split, size)


def box_of(file: Path, element: Element) -> Box:
    where = f"{printable(file)}, line {element.line}"
    name = element.word("name")
    if not name or "bndbox" not in element.inner:
        raise InputError(f"{where}: an object needs 'name' and 'bndbox'")
    left, top, right, bottom = (
        number(element.word("bndbox", corner), where, corner) for corner in CORNERS
    )
    # Pixels are counted from 1, and the last is in the box.
    corners = (left - 1, top - 1, right, bottom)
    return Box(where, name, corners, ignored=element.word("difficult") == "1")
