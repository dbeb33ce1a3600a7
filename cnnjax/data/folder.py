"""The data set `folder`: a user's own images, in memory where they fit, else streamed from disk."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.data import files, folders, workers
from cnnjax.data.cache import cached
from cnnjax.data.dataset import Source, Split, hold_out
from cnnjax.data.files import Files
from cnnjax.data.folders import Examples, Folder, printable
from cnnjax.errors import InputError
from cnnjax.images import Preprocessing
from cnnjax.images.examine import header

# The part of the machine's memory that decoded images may take.
SHARE = 0.25
STREAM, BROKEN = ("auto", "yes", "no"), ("stop", "skip")
OWN = Preprocessing((0, 0))  # images of one size, as they are
GREY = ("1", "L", "LA", "La", "I", "F")


def folder(
    path: str = "",
    classes: tuple[str, ...] = (),
    test: float = 0.2,
    channels: int = 0,
    broken: str = "stop",
    stream: str = "auto",
    *,
    preprocessing: Preprocessing = OWN,
) -> Source:
    """The images under a path: see `cnnjax.data.folders` for how they may lie.

    Args:
      path: a directory, or a CSV of files and labels.
      classes: all names in their order; empty: naturally sorted.
      test: share of each class that is the test split, always the same, where the path has none.
      channels: 1 grey, 3 colour; 0: grey if all images are.
      broken: what a file that cannot be read does: stop, or skip it, aloud.
      stream: yes: images stay on disk and are decoded when their turn comes; auto: if they would
        take more than a quarter of the memory.
      preprocessing: size and the way to it; the size (0, 0) takes images that are of one size.
    """
    if not path:
        raise InputError("data.path is missing: the folder of images, --config.data.path=DIR")
    check(test, broken, stream)
    found = folders.listed(path, classes)
    images = read(found, preprocessing, channels, broken, stream)
    splits = {
        name: Split(array, {"label": np.asarray(found.splits[name].labels, np.int32)[kept]})
        for name, (array, kept) in images.splits.items()
    }
    skipped = told(found, images.problems, broken)
    check_classes(found, splits["train"], skipped)
    notes = [*folders.described(found), *skipped]
    if "test" not in splits:
        splits["train"], splits["test"] = hold_out(splits["train"], test, 0, "label")
        notes.append(f"a share of {test:g} of each class is the test split, the same for all seeds")
    return Source(
        splits["train"],
        splits["test"],
        found.class_names,
        validation=splits.get("validation"),
        notes=(*notes, *images.notes),
    )


def check(test: float, broken: str, stream: str) -> None:
    for name, value, known in (("broken", broken, BROKEN), ("stream", stream, STREAM)):
        if value not in known:
            raise InputError(f"data.{name} is {value!r}; known: {', '.join(known)}")
    if not 0 <= test < 1:
        raise InputError(f"data.test must lie in [0, 1); given {test:g}")


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """The images of a folder.

    Attributes:
      splits: by name, the images that can be read, in memory or on disk, and their places.
      problems: file -> why, of the others.
    """

    splits: Mapping[str, tuple[Any, np.ndarray]]
    problems: Mapping[Path, str]
    notes: tuple[str, ...] = ()


def read(
    found: Folder, preprocessing: Preprocessing, channels: int, broken: str, stream: str
) -> Images:
    """Returns the images of all splits that have any."""
    record, unread = settled(found, preprocessing, channels)
    size = len(found) * int(np.prod([*record.size, record.channels]))
    streamed = stream == "yes" or (stream == "auto" and size > SHARE * memory())
    splits, problems = {}, dict(unread)
    for split, examples in found.splits.items():
        if len(examples):
            look = on_disk if streamed else in_memory
            images, bad = look(f"{name_of(found.path)}-{split}", examples, record, unread, broken)
            kept = np.array([i for i in range(len(examples)) if i not in bad], np.int64)
            splits[split] = images, kept
            problems |= {examples.files[i]: why for i, why in bad.items()}
    gib = f"{size / 2**30:,.1f} GiB of decoded images: streamed from disk"
    return Images(splits, problems, (gib,) if streamed else ())


def name_of(path: Path) -> str:
    """Returns a name for the cache: one for a path, whatever is in it."""
    at = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]
    word = "".join(c if c.isascii() and c.isalnum() else "_" for c in printable(path.name))
    return f"folder-{word}-{at}"


def all_files(found: Folder) -> list[Path]:
    return [file for examples in found.splits.values() for file in examples.files]


def headers(found: Folder) -> Mapping[str, np.ndarray]:
    """Returns `text`, why there is no header, `grey` and `size`, height and width, of all files.

    Nothing is decoded. What they said is cached.
    """
    paths = all_files(found)

    def look() -> dict[str, np.ndarray]:
        said = list(workers.each(header_or_error, paths, "looking at images"))
        return {
            "text": np.array([text for text, _, _ in said], str),
            "grey": np.array([mode in GREY or mode.startswith("I;") for _, mode, _ in said]),
            "size": np.array([size for _, _, size in said], np.int64).reshape(-1, 2),
        }

    return cached(f"{name_of(found.path)}-headers", files.digest(paths, 1), look)


def settled(
    found: Folder, preprocessing: Preprocessing, channels: int
) -> tuple[Preprocessing, dict[Path, str]]:
    """Returns the record with channels and size filled in, and file -> why of what has no header.

    From the headers alone.
    """
    paths, facts = all_files(found), headers(found)
    whole = facts["text"] == ""
    unread = {p: str(t) for p, t in zip(paths, facts["text"].tolist(), strict=True) if t}
    if not whole.any():
        raise InputError(
            f"none of {len(paths):,} images can be read; {next(iter(unread.values()))}"
        )
    if not channels:
        channels = 1 if facts["grey"][whole].all() else 3
    if preprocessing.size != (0, 0):
        return dataclasses.replace(preprocessing, channels=channels), unread
    sizes, counts = np.unique(facts["size"][whole], axis=0, return_counts=True)
    if len(sizes) > 1:
        height, width = sizes[counts.argmax()]
        raise InputError(
            f"{printable(found.path)} holds images of {len(sizes):,} sizes, most often "
            f"{height} x {width}: give them one size with data.image_size"
        )
    height, width = map(int, sizes[0])
    return dataclasses.replace(preprocessing, size=(height, width), channels=channels), unread


def header_or_error(file: Path) -> tuple[str, str, tuple[int, int]]:
    try:
        mode, height, width = header(file)
    except InputError as error:
        return str(error), "", (0, 0)
    return "", mode, (height, width)


def in_memory(
    name: str, examples: Examples, record: Preprocessing, unread: dict[Path, str], broken: str
) -> tuple[np.ndarray, dict[int, str]]:
    """Returns the images that can be read, decoded, and place -> why of the others."""
    del unread, broken

    def read() -> dict[str, np.ndarray]:
        images, bad = files.decoded(examples.files, record, f"decoding {name.rpartition('-')[2]}")
        return {"images": images, **as_arrays(bad)}

    arrays = cached(name, files.digest(examples.files, 1, record), read)
    return arrays["images"], from_arrays(arrays)


def on_disk(
    name: str, examples: Examples, record: Preprocessing, unread: dict[Path, str], broken: str
) -> tuple[Files, dict[int, str]]:
    """Returns the images, left on disk, and place -> why of those that cannot be read.

    To skip those, all are decoded once; where they stop the run, only headers have been read.
    """
    bad = {i: unread[file] for i, file in enumerate(examples.files) if file in unread}
    if broken == "skip":
        digest = files.digest(examples.files, 1, record)
        what = f"checking {name.rpartition('-')[2]}"
        arrays = cached(
            f"{name}-broken", digest, lambda: as_arrays(files.broken(examples.files, record, what))
        )
        bad = from_arrays(arrays)
    kept = (file for i, file in enumerate(examples.files) if i not in bad)
    return Files(tuple(kept), record), bad


def as_arrays(bad: dict[int, str]) -> dict[str, np.ndarray]:
    return {"place": np.array(list(bad), np.int64), "why": np.array(list(bad.values()), np.str_)}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[int, str]:
    return dict(zip(arrays["place"].tolist(), arrays["why"].tolist(), strict=True))


def told(found: Folder, problems: Mapping[Path, str], broken: str) -> list[str]:
    """Returns lines that name what was skipped; InputError where that must not be."""
    if not problems:
        return []
    shown = list(problems.values())[:5]
    more = f"; and {len(problems) - 5:,} more" if len(problems) > 5 else ""
    text = f"{len(problems):,} of {len(found):,} images cannot be read: {'; '.join(shown)}{more}"
    if broken == "stop":
        raise InputError(f"{text}. To train without them: --config.data.broken=skip")
    return [f"skipped: {text}"]


def check_classes(found: Folder, train: Split, skipped: Sequence[str]) -> None:
    """Refuses a class of which no image is left; `skipped` says why that can be."""
    lost = set(range(len(found.class_names))) - set(train.targets["label"].tolist())
    if skipped and lost:
        what = skipped[0].removeprefix("skipped: ")
        raise InputError(f"{what}. No image of {found.class_names[min(lost)]!r} is left to train")


def memory() -> float:
    """Returns the bytes of memory that this process may have: of the machine, or its container."""
    sizes = [float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            sizes.append(float(Path(file).read_text()))
        except (OSError, ValueError):  # no container, or "max"
            continue
    return min(sizes)
