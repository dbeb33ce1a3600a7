"""Where images come from. A source returns both splits whole; `cnnjax.data.load` does the rest."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax import images
from cnnjax.data import prepare
from cnnjax.data.boxes import boxes
from cnnjax.data.cache import cached
from cnnjax.data.dataset import Source, Split, hold_out
from cnnjax.data.folder import folder
from cnnjax.data.masks import masks
from cnnjax.data.scenes import draw_split as draw_scenes
from cnnjax.data.scenes import draw_split_of_several
from cnnjax.data.shapes import SHAPES, draw_split
from cnnjax.errors import InputError, nearest
from cnnjax.images import Preprocessing
from cnnjax.registry import Table

AT_ONCE = 1000  # records decoded in one call


def digits(inverted: bool = False) -> Source:
    """1,797 handwritten digits of 8x8 pixels, bundled with scikit-learn; a fifth is the test split.

    The pixels count ink in 0 to 16 and are stretched to 0 to 255, white on black; `inverted`, they
    are black on white. The set comes without a split of its own: this one is stratified and always
    the same, whatever the seed of a run.
    """
    from sklearn.datasets import load_digits

    images, labels = map(np.asarray, load_digits(return_X_y=True))
    pixels = np.rint(images.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    pixels = 255 - pixels if inverted else pixels
    train, test = hold_out(Split(pixels, {"label": labels.astype(np.int32)}), 0.2, 0, "label")
    return Source(train, test, tuple("0123456789"))


def synthetic(
    examples: int = 4000, classes: int = 4, size: int = 32, channels: int = 1, draw_seed: int = 0
) -> Source:
    """Shapes drawn by the program; a fifth of `examples` more is the test split."""
    train = draw_split(examples, classes, size, channels, draw_seed)
    test = draw_split(max(examples // 5, classes), classes, size, channels, draw_seed + 1)
    return Source(train, test, tuple(list(SHAPES)[:classes]))


def scenes(
    task: str = "localization",
    examples: int = 5000,
    size: int = 48,
    objects: int = 8,
    draw_seed: int = 0,
) -> Source:
    """Handwritten digits of scikit-learn on canvases, at random sizes and places.

    One on each for localization, else 1 to `objects`; for segmentation the class 0 is the ground.
    The 1,000 scenes of the test split, or a fifth of `examples` where that is less, show digits
    that no scene of train shows.
    """
    known = digits()
    segmented = task == "segmentation"
    several = functools.partial(draw_split_of_several, objects=objects, masks=segmented)
    drawn = draw_scenes if task == "localization" else several
    tested = min(1000, max(examples // 5, 1))
    train = drawn(known.train, examples=examples, size=size, seed=draw_seed)
    test = drawn(known.test, examples=tested, size=size, seed=draw_seed + 1)
    return Source(train, test, (*(["ground"] if segmented else []), *known.class_names))


DATASETS: Table[Callable[..., Source]] = Table(
    "data set",
    boxes=boxes,
    digits=digits,
    folder=folder,
    masks=masks,
    scenes=scenes,
    synthetic=synthetic,
)


def tfds_source(name: str, data_dir: str, manual_dir: str, size: Preprocessing) -> Source:
    """A TFDS image classification set, prepared first if it is one we can prepare.

    TensorFlow is not needed. Decoded pixels are kept in the user's cache folder.
    """
    directory = prepare.data_directory(data_dir)
    path = prepare.find(name, directory)
    if path is None:
        if name.partition("/")[0] not in prepare.BUILDERS:
            known = {*DATASETS, *prepare.BUILDERS, *prepared_names(directory)}
            raise InputError(
                f"unknown data set {name!r}{nearest(name, known)} "
                f"(a TFDS set must lie prepared under {directory}: see data.data_dir)"
            )
        path = prepare.prepare(name, directory, manual_dir or None)
    # Two of tfds' modules announce at every start that OpenCV would decode faster.
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        return read_tfds(name, path, size)
    finally:
        logging.set_verbosity(verbosity)


def prepared_names(directory: Path) -> list[str]:
    """Returns the names of the sets prepared under `directory`."""
    if not directory.is_dir():
        return []
    return sorted(p.name for p in directory.iterdir() if prepare.is_prepared(p.name, directory))


def read_tfds(name: str, path: Path, size: Preprocessing) -> Source:
    import tensorflow_datasets as tfds

    builder: Any = tfds.builder_from_directory(str(path))
    features = builder.info.features
    image_key, label_key = builder.info.supervised_keys or ("image", "label")
    if image_key not in features or label_key not in features:
        raise InputError(f"{name} is not an image classification set: it holds {features}")
    if not isinstance(features[image_key], tfds.features.Image) or not isinstance(
        features[label_key], tfds.features.ClassLabel
    ):
        raise InputError(f"{name} is not an image classification set: it holds {features}")
    known = [s for s in ("train", "test", "validation") if s in builder.info.splits]
    if len(known) < 2 or known[0] != "train":
        raise InputError(f"{name} needs the splits train and test; it has {known}")
    splits = {}
    for split in known:

        def read(split: str = split) -> dict[str, np.ndarray]:
            records = builder.as_data_source(split)
            return decode(records, image_key, label_key, size, f"{name} {split}")

        state = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in path.iterdir())
        text = f"2 {path.resolve()} {split} {size} {state}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        arrays = cached(f"{path.parent.name}-{path.name}-{split}", digest, read)
        splits[split] = Split(arrays["images"], {"label": arrays["labels"]})
    return labelled(name, splits, tuple(features[label_key].names))


def labelled(name: str, splits: dict[str, Split], class_names: tuple[str, ...]) -> Source:
    """Returns the source of splits by name: where test has no labels, validation is the test split.

    Raises InputError for labels that are no class: a loss would take -1 for the last.
    """
    notes: list[str] = []
    for split in list(splits):
        labels = splits[split].targets["label"]
        outside = (labels < 0) | (labels >= len(class_names))
        if split != "train" and outside.all():
            notes.append(f"the {split} split of {name} has no labels: it is left aside")
            del splits[split]
        elif outside.any():
            raise InputError(
                f"{name} {split}: {outside.sum():,} of {len(labels):,} labels are outside 0 to "
                f"{len(class_names) - 1}, {labels[outside][0]} among them"
            )
    validation = splits.get("validation")
    if "test" not in splits:
        if validation is None:
            raise InputError(f"{name} has no labelled split to test on, only train")
        notes.append(f"{name} is tested on its validation split; data.validation is held out")
        return Source(splits["train"], validation, class_names, None, tuple(notes))
    if validation is not None:
        notes.append(f"{name} has a validation split of its own, which is used")
    return Source(splits["train"], splits["test"], class_names, validation, tuple(notes))


def decode(
    records: Any, image_key: str, label_key: str, size: Preprocessing, what: str
) -> dict[str, np.ndarray]:
    """Decodes every record of a data source, with a progress bar where a terminal is attached."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    pixels, labels = [], []
    for start in track(
        range(0, len(records), AT_ONCE),
        f"decoding {what}",
        console=console,
        disable=not sys.stderr.isatty(),
    ):
        # One call for many is twice as fast as one by one.
        for record in records.__getitems__(range(start, min(start + AT_ONCE, len(records)))):
            image = images.resized(eight_bits(record[image_key], what), size)
            if pixels and image.shape != pixels[0].shape:
                raise InputError(
                    f"{what} holds images of {image.shape} and {pixels[0].shape}: "
                    "give them one size with data.image_size"
                )
            pixels.append(image)
            labels.append(record[label_key])
    return {"images": np.stack(pixels), "labels": np.asarray(labels, np.int32)}


def eight_bits(image: Any, what: str) -> np.ndarray:
    """Returns the image as uint8; 16 bits are scaled, as those of files are."""
    image = np.asarray(image)
    if image.dtype == np.uint16:
        return np.rint(image / 257).astype(np.uint8)
    if image.dtype != np.uint8:
        raise InputError(f"{what} holds images of {image.dtype}: uint8 and uint16 are read")
    return image
