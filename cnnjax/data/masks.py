"""The data set `masks`: a user's own images, and a class for every pixel of them.

A folder holds `images/`, `masks/` with a PNG of the same name for each, and may hold `split.csv`
(file,split) and `classes.csv` (name,value). Masks are palette or grey PNG, whose numbers are the
classes, or in colour, and `classes.csv` then says what each (#rrggbb) means.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from cnnjax import images
from cnnjax.data import files, workers
from cnnjax.data.cache import cached
from cnnjax.data.dataset import IGNORED, Source, Split, hold_out
from cnnjax.data.folder import GREY, OWN, name_of
from cnnjax.data.folders import SPLITS, images_under, natural, printable
from cnnjax.data.spoiled import spoiled
from cnnjax.errors import InputError, nearest
from cnnjax.images import Preprocessing
from cnnjax.images.examine import header
from cnnjax.images.read import LARGEST

# What classes.csv calls pixels that teach nothing.
NO_CLASS = ("ignored", "ignore", "void")
# Numbers of a grey or palette mask; colours of any other.
NUMBERS = ("P", "L", "1", "I;16", "I")
Legend = Mapping[int, int]  # the number of a mask, or its colour as 0xrrggbb -> a class


def masks(
    path: str = "",
    classes: tuple[str, ...] = (),
    test: float = 0.2,
    channels: int = 0,
    noise: float = 0.0,
    bias: float = 0.0,
    draw_seed: int = 0,
    *,
    task: str = "segmentation",
    preprocessing: Preprocessing = OWN,
) -> Source:
    """Images with a class per pixel.

    Args:
      path: the folder.
      classes: names of the classes 0, 1, ...; empty: those of classes.csv, else the numbers.
      test: share of the images that is the test split where there is no split.csv.
      channels: 1 grey, 3 colour; 0: grey if all images are.
      noise, bias: what every image is spoiled by, see `cnnjax.data.spoiled`, and `draw_seed` how.
      preprocessing: size and the way to it; masks are resized by the nearest pixel.
    """
    del task
    if not path:
        raise InputError("data.path is missing: the folder of images/ and masks/")
    root = Path(path).expanduser()
    for name in ("images", "masks"):
        if not (root / name).is_dir():
            raise InputError(f"{printable(root)} holds no folder {name}/")
    if not (0 < test < 1 and noise >= 0 and 0 <= bias < 1 and draw_seed >= 0):
        raise InputError(
            "data.test and data.bias lie in 0 to 1, data.noise and data.draw_seed are 0 or more; "
            f"given test={test:g}, bias={bias:g}, noise={noise:g}, draw_seed={draw_seed}"
        )
    pairs, notes = paired(root)
    splits = split_of(root, pairs)
    names, legend = named(root, tuple(classes))
    chosen = [file for split in splits.values() for file in split]
    record = settled(chosen, pairs, preprocessing, channels)
    made = {}
    for split, some in splits.items():
        pixels, classed = read(root, split, some, [pairs[f] for f in some], record, legend, names)
        made[split] = Split(spoiled(pixels, noise, bias, draw_seed, split), {"mask": classed})
    most = max(int(np.where(s.targets["mask"] == IGNORED, 0, s.targets["mask"]).max())
               for s in made.values())  # fmt: skip
    names = names or tuple(map(str, range(max(most + 1, 2))))
    if "test" not in made:
        made["train"], made["test"] = hold_out(made["train"], test, 0)
        notes.append(f"a share of {test:g} is the test split, the same for all seeds")
    return Source(made["train"], made["test"], names, made.get("validation"), tuple(notes))


def paired(root: Path) -> tuple[dict[Path, Path], list[str]]:
    """Returns image -> mask, in the order of the names, and what was passed over."""
    found, _ = images_under(root / "images")
    masks = {file.stem: file for file in sorted((root / "masks").glob("*.png"))}
    if not found:
        raise InputError(f"{printable(root / 'images')} holds no images")
    pairs: dict[Path, Path] = {}
    for file in sorted(found, key=lambda f: natural(f.name)):
        if file.stem not in masks:
            raise InputError(
                f"{printable(file)} has no mask: masks/{printable(file.stem)}.png is missing"
            )
        pairs[file] = masks[file.stem]
    if len(set(pairs.values())) < len(pairs):
        raise InputError(f"{printable(root / 'images')} holds two images of one name")
    left = len(masks) - len(pairs)
    return pairs, [f"{left:,} masks without an image were passed over"] if left else []


def split_of(root: Path, pairs: Mapping[Path, Path]) -> dict[str, list[Path]]:
    """Returns split -> images, as split.csv says; all in train where there is none."""
    table = root / "split.csv"
    if not table.exists():
        return {"train": list(pairs)}
    known = {file.name: file for file in pairs}
    found: dict[str, list[Path]] = {}
    seen: set[str] = set()
    for line, row in rows(table, ("file", "split")):
        where, file, word = f"{printable(table)}, line {line}", row["file"], row["split"]
        if file not in known:
            raise InputError(f"{where}: there is no image {file!r}{nearest(file, known)}")
        if file in seen:
            raise InputError(f"{where}: {file} stands there twice")
        if word.casefold() not in SPLITS:
            raise InputError(f"{where}: split {word!r} is none of train, validation and test")
        seen.add(file)
        found.setdefault(SPLITS[word.casefold()], []).append(known[file])
    if "train" not in found:
        raise InputError(f"{printable(table)} names no training images")
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def rows(table: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Returns line and columns by name of a CSV."""
    try:
        lines = list(csv.DictReader(table.read_text("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{printable(table)} cannot be read: {error}") from None
    for name in columns:
        if not lines or lines[0].get(name) is None:
            raise InputError(f"{printable(table)} needs a first line {','.join(columns)}, and more")
    return [(i, {n: (row[n] or "").strip() for n in columns}) for i, row in enumerate(lines, 2)]


def named(root: Path, classes: tuple[str, ...]) -> tuple[tuple[str, ...], Legend]:
    """Returns names of the classes, if they are told, and what the numbers or colours mean."""
    table = root / "classes.csv"
    if not table.exists():
        return classes, {}
    names, legend = list(classes), {}
    for line, row in rows(table, ("name", "value")):
        value, name = row["value"], row["name"]
        try:
            red, green, blue = ImageColor.getrgb(value)[:3] if "#" in value else (0, 0, int(value))
        except ValueError:
            raise InputError(
                f"{printable(table)}, line {line}: {value!r} is no number and no colour #rrggbb"
            ) from None
        code = red << 16 | green << 8 | blue
        if code in legend:
            raise InputError(f"{printable(table)}, line {line}: {value} stands there twice")
        if name.casefold() in NO_CLASS:
            legend[code] = IGNORED
            continue
        if name not in names and classes:
            raise InputError(f"data.classes lacks {name!r} of {printable(table)}")
        if name not in names:
            names.append(name)
        legend[code] = names.index(name)
    return tuple(names), legend


def settled(
    chosen: Sequence[Path], pairs: Mapping[Path, Path], preprocessing: Preprocessing, channels: int
) -> Preprocessing:
    """Returns the record with size and channels; refuses a mask of another size than its image."""
    headers = list(workers.each(header, chosen, "looking at images"))
    for file, (_, height, width) in zip(chosen, headers, strict=True):
        _, rows, columns = header(pairs[file])
        if (rows, columns) != (height, width):
            raise InputError(
                f"{printable(pairs[file])} is {rows} x {columns}, its image {height} x {width}"
            )
    grey = all(mode in GREY or mode.startswith("I;") for mode, _, _ in headers)
    record = dataclasses.replace(preprocessing, channels=channels or (1 if grey else 3))
    if record.size != (0, 0):
        return record
    sizes = {(height, width) for _, height, width in headers}
    if len(sizes) > 1:
        raise InputError(
            f"the images are of {len(sizes):,} sizes: give them one with data.image_size"
        )
    return dataclasses.replace(record, size=sizes.pop())


def read(
    root: Path,
    split: str,
    some: Sequence[Path],
    theirs: Sequence[Path],
    record: Preprocessing,
    legend: Legend,
    names: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Returns images (n, height, width, channels) and masks (n, height, width), uint8."""

    def decode() -> dict[str, np.ndarray]:
        pixels, bad = files.decoded(some, record, f"decoding {split}")
        if bad:
            raise InputError(next(iter(bad.values())))
        numbers = [numbers_of(file) for file in theirs]
        values = {int(v) for n in numbers for v in np.unique(n)}
        if not legend and values == {0, 255}:
            raise InputError(
                f"the masks of {printable(root)} hold 0 and 255 alone, and 255 is ignored unless "
                "classes.csv says what it is: a line name,value, then such as background,0"
            )
        kinds = zip(theirs, numbers, strict=True)
        classed = [classes_of(file, n, legend, len(names)) for file, n in kinds]
        # By the nearest pixel; what is laid around is white, 255, and so ignored.
        near = dataclasses.replace(record, interpolation="nearest", background=(IGNORED,) * 3)
        masks = [images.resized(m[..., None], near)[..., 0] for m in classed]
        return {"images": pixels, "masks": np.stack(masks)}

    told = (1, record, sorted(legend.items()), names)
    arrays = cached(f"{name_of(root)}-masks-{split}", files.digest([*some, *theirs], told), decode)
    return arrays["images"], arrays["masks"]


def numbers_of(file: Path) -> np.ndarray:
    """Returns the numbers of a mask, or its colours as 0xrrggbb, (height, width) int64."""
    try:
        with Image.open(file, formats=("PNG",)) as picture:
            if picture.width * picture.height > LARGEST:
                raise InputError(f"{printable(file)} has more than {LARGEST:,} pixels")
            if picture.mode in NUMBERS:
                return np.asarray(picture).astype(np.int64)
            if picture.mode not in ("RGB", "RGBA"):
                raise InputError(f"{printable(file)} is a PNG of {picture.mode}: no mask")
            red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), np.int64), -1, 0)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{printable(file)} is no PNG that can be read: {error}") from None
    return red << 16 | green << 8 | blue


def classes_of(file: Path, numbers: np.ndarray, legend: Legend, classes: int) -> np.ndarray:
    """Returns the classes (height, width) uint8; refuses numbers that mean none."""
    result = np.full(numbers.shape, IGNORED, np.uint8)
    for value in map(int, np.unique(numbers)):
        if legend:
            known = value in legend
        else:
            known = value == IGNORED or value < min(classes or IGNORED, IGNORED)
        if not known:
            shown = f"#{value:06x}" if value > IGNORED else f"{value}"
            means = "classes.csv" if legend else f"the {classes} classes" if classes else "a class"
            raise InputError(
                f"{printable(file)} holds {shown} at {np.argwhere(numbers == value)[0].tolist()} "
                f"(row, column), which is not of {means}"
                + ("" if legend or value <= IGNORED else ": colours need a classes.csv")
            )
        result[numbers == value] = legend.get(value, value)
    return result
