"""COCO's JSON (Lin et al. 2014, arXiv 1405.0312; cocodataset.org, "Data format").

A file, or a directory with files of the splits: in it, in `annotations`, or in a directory of each
split, as Roboflow writes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnjax.data.boxes.pictures import Box, Picture, Pictures, found_at, number, split_of
from cnnjax.data.folders import directories, natural, printable
from cnnjax.errors import InputError


def fits(path: Path) -> bool:
    return bool(files_of(path))


def files_of(path: Path) -> list[Path]:
    """Returns the JSON files under a path that may be of the format."""
    if path.is_file():
        return [path] if path.suffix.casefold() == ".json" else []
    places = [path, *(d for d in directories(path) if split_of(d.name) or d.name == "annotations")]
    found = [file for place in places for file in place.glob("*.json")]
    return sorted(found, key=lambda file: natural(str(file)))


def read(path: Path) -> Pictures:
    pictures: list[Picture] = []
    classes: dict[Any, str] = {}
    files = files_of(path)
    for file in files:
        value = parsed(file)
        own = classes_of(file, value)
        if classes and own != classes:
            raise InputError(f"{printable(file)} has other categories than {printable(files[0])}")
        classes = own
        split = split_of(file.parent.name) or split_of(file.stem)
        pictures += pictures_of(file, value, classes, split)
    order = sorted(classes, key=lambda key: (isinstance(key, str), key))
    return Pictures(path, tuple(pictures), tuple(classes[key] for key in order))


def parsed(file: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(file.read_text("utf-8-sig"))
    except ValueError as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"{printable(file)}{line}: no JSON: {error}") from None
    except OSError as error:
        raise InputError(f"{printable(file)} cannot be read: {error.strerror}") from None
    lists = ("images", "annotations", "categories")
    if not isinstance(value, Mapping) or not all(isinstance(value.get(n), list) for n in lists):
        raise InputError(f"{printable(file)} is none of COCO's: it needs the lists images, "
                         "annotations and categories")  # fmt: skip
    return value


def entry(file: Path, kind: str, place: int, value: Any, needed: Sequence[str]) -> str:
    """Returns how an entry is called; refuses one that lacks what it needs."""
    where = f"{printable(file)}, {kind}[{place}]"
    if not isinstance(value, Mapping):
        raise InputError(f"{where} is no object")
    if "id" in value:
        where += f" (id {value['id']})"
    for name in needed:
        if name not in value:
            raise InputError(f"{where} has no {name!r}")
        if name.endswith("id") and not isinstance(value[name], int | str):
            raise InputError(f"{where}: {name!r} is {value[name]!r}, which is no number or text")
    return where


def unique(file: Path, kind: str, values: Sequence[Any], needed: Sequence[str]) -> dict[Any, str]:
    """Returns id -> how the entry is called; refuses an id that two of them have."""
    found: dict[Any, str] = {}
    for place, value in enumerate(values):
        where = entry(file, kind, place, value, ("id", *needed))
        if value["id"] in found:
            raise InputError(f"{where}: the id was given before, to {found[value['id']]}")
        found[value["id"]] = where
    return found


def classes_of(file: Path, value: Mapping[str, Any]) -> dict[Any, str]:
    unique(file, "categories", value["categories"], ("name",))
    return {category["id"]: str(category["name"]) for category in value["categories"]}


def pictures_of(
    file: Path, value: Mapping[str, Any], classes: Mapping[Any, str], split: str
) -> list[Picture]:
    images = unique(file, "images", value["images"], ("file_name",))
    annotations = value["annotations"]
    called = unique(file, "annotations", annotations, ("image_id", "category_id", "bbox"))
    boxes: dict[Any, list[Box]] = {key: [] for key in images}
    for annotation, where in zip(annotations, called.values(), strict=True):
        if annotation["image_id"] not in images:
            raise InputError(f"{where}: there is no image with the id {annotation['image_id']!r}")
        if annotation["category_id"] not in classes:
            raise InputError(
                f"{where}: there is no category with the id {annotation['category_id']!r}"
            )
        boxes[annotation["image_id"]].append(
            box_of(annotation, where, classes[annotation["category_id"]])
        )
    folders = folders_of(file, split)
    result = []
    for image, where in zip(value["images"], images.values(), strict=True):
        name = str(image["file_name"])
        size = None
        if "width" in image and "height" in image:
            height, width = (number(image[n], where, n) for n in ("height", "width"))
            size = int(height), int(width)
        at = found_at(name, folders, where)
        result.append(Picture(at, where, tuple(boxes[image["id"]]), split, size))
    return result


def box_of(annotation: Mapping[str, Any], where: str, name: str) -> Box:
    values = annotation["bbox"]
    if not isinstance(values, list) or len(values) != 4:
        raise InputError(f"{where}: 'bbox' must be left, top, width and height; given {values!r}")
    left, top, width, height = (number(value, where, "a number of 'bbox'") for value in values)
    area = annotation.get("area")
    return Box(
        where,
        name,
        (left, top, left + width, top + height),
        ignored=bool(annotation.get("iscrowd", 0) or annotation.get("ignore", 0)),
        area=None if area is None else number(area, where, "'area'"),
    )


def folders_of(file: Path, split: str) -> list[Path]:
    """Returns where the images of a file may lie: the names of COCO's archives among them."""
    home = file.parent
    tops = [home] if home.name != "annotations" else [home.parent, home]
    stem = file.stem.rpartition("_")[2]  # instances_train2017
    names = ("images", file.stem, stem, f"images/{stem}", split, f"images/{split}")
    return [*tops, *(top / name for top in tops for name in names if name)]
