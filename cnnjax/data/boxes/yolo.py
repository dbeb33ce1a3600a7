"""YOLO's text: a file per image, a line per box: class, middle, width and height in shares.

A directory, or its data.yaml. Images lie in `images` and texts in `labels`, each with a directory
per split or without; or a directory per split has both; or texts lie beside their images. Names of
the classes stand in data.yaml, or in classes.txt or obj.names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnjax.data.boxes.pictures import Box, Picture, Pictures, number, split_of
from cnnjax.data.folders import images_under, printable
from cnnjax.errors import InputError

LISTS = ("classes.txt", "obj.names", "predefined_classes.txt", "labels.txt")


def fits(path: Path) -> bool:
    if path.is_file():
        return path.suffix.casefold() in (".yaml", ".yml")
    return bool(names_of(path))


def names_of(path: Path) -> list[Path]:
    """Returns the files that may name the classes."""
    found = [*path.glob("*.yaml"), *path.glob("*.yml")]
    return found + [
        f for name in LISTS for f in (path / name, path / "labels" / name) if f.is_file()
    ]


def read(path: Path) -> Pictures:
    file = path if path.is_file() else names_of(path)[0]
    root = file.parent if path.is_file() else path
    classes = classes_of(file)
    files, _ = images_under(root)
    pictures, without = [], 0
    for image in files:
        text = text_of(image, root)
        without += not text.is_file()
        boxes = boxes_of(text, classes) if text.is_file() else ()
        inner = image.relative_to(root).parts[:-1]
        split = next((s for s in map(split_of, inner) if s), "")
        pictures.append(Picture(image, printable(image), boxes, split))
    if without == len(pictures):
        raise InputError(f"{printable(root)}: none of {len(files):,} images has a text of boxes")
    stray = strays(root, pictures)
    if stray:
        raise InputError(f"{printable(stray[0])}: the image that it belongs to is not there")
    notes = (f"{without:,} images have no text, and so no object",) if without else ()
    return Pictures(path, tuple(pictures), classes, notes)


def text_of(image: Path, root: Path) -> Path:
    """Returns where the text of an image lies: beside, or in `labels` instead of `images`."""
    parts = list(image.relative_to(root).parts)
    folders = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    return (root / Path(*parts)).with_suffix(".txt")


def strays(root: Path, pictures: list[Picture]) -> list[Path]:
    """Returns texts in `labels` of images that are not there."""
    taken = {text_of(picture.file, root) for picture in pictures}
    texts = (file for file in sorted(root.rglob("labels/**/*.txt")) if file.name not in LISTS)
    return [file for file in texts if file not in taken]


def classes_of(file: Path) -> tuple[str, ...]:
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{printable(file)} cannot be read: {error}") from None
    if file.suffix.casefold() not in (".yaml", ".yml"):
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    import yaml

    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{printable(file)}: no YAML: {error}") from None
    names = value.get("names") if isinstance(value, Mapping) else None
    if isinstance(names, Mapping):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise InputError(f"{printable(file)}: 'names' must number the classes from 0 on")
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names:
        raise InputError(f"{printable(file)}: 'names' must list the classes; given {names!r}")
    return tuple(map(str, names))


def boxes_of(file: Path, classes: tuple[str, ...]) -> tuple[Box, ...]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{printable(file)} cannot be read: {error}") from None
    found = []
    for place, line in enumerate(lines, 1):
        where, words = f"{printable(file)}, line {place}", line.split()
        if not words:
            continue
        if len(words) != 5:
            what = "an outline, of which no box is made" if len(words) > 6 else "no box"
            raise InputError(
                f"{where}: {len(words)} numbers are {what}; a box is class, x, y, width and height"
            )
        if not words[0].isdigit() or int(words[0]) >= len(classes):
            raise InputError(
                f"{where}: unknown class {words[0]!r}; there are 0 to {len(classes) - 1}"
            )
        x, y, width, height = (number(word, where, "a place") for word in words[1:])
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        found.append(Box(where, classes[int(words[0])], corners, shares=True))
    return tuple(found)
