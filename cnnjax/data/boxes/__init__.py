"""The data set `boxes`: a user's own images with the objects in them.

A format is one file here with `fits` and `read`, and one word in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from cnnjax import images
from cnnjax.data import folder
from cnnjax.data.boxes import coco, table, voc, yolo
from cnnjax.data.boxes.pictures import Box, Picture, Pictures, named, once, placed
from cnnjax.data.dataset import Source, Split, hold_out
from cnnjax.data.folders import Examples, Folder, printable
from cnnjax.data.objects import Objects, padded
from cnnjax.errors import InputError
from cnnjax.images import Preprocessing
from cnnjax.registry import Table

FORMATS: Table[ModuleType] = Table("format of boxes", coco=coco, csv=table, voc=voc, yolo=yolo)
# The share of its area that a box must keep in what the network sees, or it is dropped there.
LEAST = 0.25
ORDER = ("train", "validation", "test")


def boxes(
    path: str = "",
    format: str = "auto",
    classes: tuple[str, ...] = (),
    test: float = 0.2,
    channels: int = 0,
    broken: str = "stop",
    stream: str = "auto",
    task: str = "detection",
    *,
    preprocessing: Preprocessing = folder.OWN,
) -> Source:
    """Images under a path, and boxes of the objects in them.

    Args:
      path: a directory or a file.
      format: coco, csv, voc or yolo; auto: the first of them that the path may be.
      classes: all names in their order; empty: as the format has them, or else naturally sorted.
      test: share of the images that is the test split, always the same, where nothing says which.
      broken: what a file or a box that is none does: stop, or skip it, aloud.
      channels, stream, preprocessing: as of the data set `folder`.
    """
    del task  # there is but one
    if not path:
        raise InputError("data.path is missing: the images' boxes, --config.data.path=FILE_OR_DIR")
    folder.check(test, broken, stream)
    found = read(Path(path).expanduser(), format)
    once(found.pictures)
    names = named(found, classes)
    splits, remarks = split(found)
    files = Folder(
        found.path,
        names,
        {s: Examples(tuple(p.file for p in splits[s]), (0,) * len(splits[s])) for s in splits},
        {},
    )
    pixels = folder.read(files, preprocessing, channels, broken, stream)
    told = folder.told(files, pixels.problems, broken)
    sizes = folder.headers(files)["size"]
    sizes = dict(zip(folder.all_files(files), sizes.tolist(), strict=True))
    problems: list[str] = []
    made, counts = {}, {"cut": 0, "boxes": 0}
    for name, (array, kept) in pixels.splits.items():
        objects = [
            objects_of(splits[name][i], sizes, names, preprocessing, problems, counts) for i in kept
        ]
        made[name] = array, objects
    notes = [*described(found, splits, names), *found.notes, *remarks, *told]
    notes += judged(problems, counts, broken)
    most = max((len(o) for _, objects in made.values() for o in objects), default=1)
    final = {name: Split(array, padded(objects, most)) for name, (array, objects) in made.items()}
    if "test" not in final:
        final["train"], final["test"] = hold_out(final["train"], test, 0)
        notes.append(f"a share of {test:g} of the images is the test split, the same for all seeds")
    notes += untaught(final["train"], names)
    return Source(
        final["train"], final["test"], names, final.get("validation"), (*notes, *pixels.notes)
    )


def read(path: Path, format: str) -> Pictures:
    """Returns what lies under a path, in the format of that name, or the first that it may be."""
    if not path.exists():
        raise InputError(f"data.path {printable(path)} does not exist")
    if format != "auto":
        chosen = FORMATS[format]
        if not chosen.fits(path):
            raise InputError(f"{printable(path)} holds nothing in the format {format}")
        return chosen.read(path)
    for chosen in FORMATS.values():
        if chosen.fits(path):
            return chosen.read(path)
    raise InputError(
        f"{printable(path)} holds no boxes: neither COCO's JSON, nor a CSV, nor Pascal VOC's XML, "
        "nor YOLO's names of classes (data.yaml or classes.txt)"
    )


def split(found: Pictures) -> tuple[dict[str, list[Picture]], list[str]]:
    """Returns the pictures of each split, and remarks on what was assumed."""
    splits: dict[str, list[Picture]] = {}
    for picture in found.pictures:
        splits.setdefault(picture.split, []).append(picture)
    unsaid = splits.pop("", [])
    if unsaid and splits:
        raise InputError(f"{unsaid[0].where}: this image has no split, and others have")
    if unsaid:
        return {"train": unsaid}, []
    if "train" not in splits:
        raise InputError(
            f"{printable(found.path)} has no training images: only {', '.join(splits)}"
        )
    remarks = []
    tested = splits.get("test", [])
    if "validation" in splits and not any(picture.boxes for picture in tested):
        if tested:
            remarks.append("the test split has no boxes: it is left aside")
        splits["test"] = splits.pop("validation")
        remarks.append("it is tested on its validation split; data.validation is held out")
    return {name: splits[name] for name in ORDER if name in splits}, remarks


def objects_of(
    picture: Picture,
    sizes: Mapping[Path, Sequence[int]],
    names: Sequence[str],
    preprocessing: Preprocessing,
    problems: list[str],
    counts: dict[str, int],
) -> Objects:
    """Returns the objects of a picture in what the network sees of it; notes what is wrong."""
    height, width = sizes[picture.file]
    if picture.size not in (None, (height, width)):
        problems.append(
            f"{picture.where}: its size is given as {picture.size[1]} x {picture.size[0]}, and "
            f"{printable(picture.file.name)} has {width} x {height} pixels, turned upright"
        )
    chosen: list[tuple[Box, np.ndarray]] = []
    for box in picture.boxes:
        try:
            corners, cut = placed(box, height, width)
        except InputError as error:
            problems.append(str(error))
            continue
        counts["boxes"] += 1
        counts["cut"] += cut
        chosen.append((box, corners))
    view = images.view((height, width), preprocessing)
    left, top, right, bottom = np.array(view) * [width, height, width, height]
    kept = []
    for box, corners in chosen:
        inside = np.clip(corners, [left, top] * 2, [right, bottom] * 2)
        if area(inside) >= LEAST * area(corners):
            kept.append((box, inside - [left, top] * 2))
    return Objects.of_pixels(
        [corners for _, corners in kept],
        [names.index(box.name) for box, _ in kept],
        (bottom - top, right - left),
        [box.ignored for box, _ in kept],
        [area(corners) if box.area is None else box.area for box, corners in kept],
    )


def area(corners: np.ndarray) -> float:
    return float((corners[2] - corners[0]) * (corners[3] - corners[1]))


def judged(problems: Sequence[str], counts: Mapping[str, int], broken: str) -> list[str]:
    """Returns lines on boxes that were skipped or cut; InputError where that must not be."""
    lines = []
    if problems:
        more = f"; and {len(problems) - 5:,} more" if len(problems) > 5 else ""
        text = f"{'; '.join(problems[:5])}{more}"
        if broken == "stop":
            raise InputError(f"{text}. To train without such boxes: --config.data.broken=skip")
        lines.append(f"skipped: {text}")
    if counts["cut"]:
        lines.append(f"{counts['cut']:,} of {counts['boxes']:,} boxes reach up to a pixel beyond "
                     "their image, and are cut")  # fmt: skip
    return lines


def untaught(train: Split, names: Sequence[str]) -> list[str]:
    """Returns a line that names classes without an object to learn from; refuses none at all."""
    taught = set(train.targets["labels"][~train.targets["crowd"]].tolist())
    missing = [name for label, name in enumerate(names) if label not in taught]
    if len(missing) == len(names):
        raise InputError("the training split has no box")
    return [f"train has no box of {', '.join(missing)}"] if missing else []


def described(
    found: Pictures, splits: Mapping[str, Sequence[Picture]], names: Sequence[str]
) -> list[str]:
    """Returns a line that says what was found: images and boxes of each split, and classes."""
    sizes = ", ".join(
        f"{len(pictures):,} images with {sum(len(p.boxes) for p in pictures):,} boxes {name}"
        for name, pictures in splits.items()
    )
    shown = ", ".join(f"{i} {name}" for i, name in enumerate(names[:12]))
    more = f" and {len(names) - 12:,} more" if len(names) > 12 else ""
    return [f"{printable(found.path)}: {sizes}; {len(names)} classes: {shown}{more}"]
