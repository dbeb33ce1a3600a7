"""Where images come from. A source returns both splits whole; `cnnjax.data.load` does the rest."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnjax import caches
from cnnjax.data import prepare
from cnnjax.data.dataset import Split, hold_out
from cnnjax.data.scenes import draw_split as draw_scenes
from cnnjax.data.shapes import SHAPES, draw_split
from cnnjax.errors import InputError, nearest
from cnnjax.registry import Table

AT_ONCE = 1000  # records decoded in one call


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Train and test as published, and the names of the classes, if there are any."""

    train: Split
    test: Split
    class_names: tuple[str, ...] = ()


def digits() -> Source:
    """1,797 handwritten digits of 8x8 pixels, bundled with scikit-learn; a fifth is the test split.

    The pixels count ink in 0 to 16 and are stretched to 0 to 255. The set comes without a split of
    its own: this one is stratified and always the same, whatever the seed of a run.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
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
    task: str = "localization", examples: int = 5000, size: int = 48, draw_seed: int = 0
) -> Source:
    """Handwritten digits of scikit-learn, one on each canvas, at a random size and place.

    The 1,000 scenes of the test split, or a fifth of `examples` where that is less, show digits
    that no scene of train shows.
    """
    known = digits()
    train = draw_scenes(known.train, examples, size, draw_seed)
    test = draw_scenes(known.test, min(1000, max(examples // 5, 1)), size, draw_seed + 1)
    return Source(train, test, known.class_names)


DATASETS: Table[Callable[..., Source]] = Table(
    "data set", digits=digits, scenes=scenes, synthetic=synthetic
)


def tfds_source(name: str, data_dir: str, manual_dir: str, image_size: int) -> Source:
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
        return read_tfds(name, path, image_size)
    finally:
        logging.set_verbosity(verbosity)


def prepared_names(directory: Path) -> list[str]:
    """Returns the names of the sets prepared under `directory`."""
    if not directory.is_dir():
        return []
    return sorted(p.name for p in directory.iterdir() if prepare.is_prepared(p.name, directory))


def read_tfds(name: str, path: Path, image_size: int) -> Source:
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
    splits = [s for s in ("train", "test", "validation") if s in builder.info.splits]
    if len(splits) < 2 or splits[0] != "train":
        raise InputError(f"{name} needs the splits train and test; it has {splits}")
    label = features[label_key]
    train, test = (
        cached_split(
            path,
            split,
            image_size,
            lambda split=split: decode(
                builder.as_data_source(split), image_key, label_key, image_size, f"{name} {split}"
            ),
        )
        for split in splits[:2]
    )
    return Source(train, test, tuple(label.names))


def decode(records: Any, image_key: str, label_key: str, image_size: int, what: str) -> Split:
    """Decodes every record of a data source, with a progress bar where a terminal is attached."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    images, labels = [], []
    for start in track(
        range(0, len(records), AT_ONCE),
        f"decoding {what}",
        console=console,
        disable=not sys.stderr.isatty(),
    ):
        # One call for many is twice as fast as one by one.
        for record in records.__getitems__(range(start, min(start + AT_ONCE, len(records)))):
            image = np.asarray(record[image_key])
            if image_size:
                image = resize(image, image_size)
            if images and image.shape != images[0].shape:
                raise InputError(
                    f"{what} holds images of {image.shape} and {images[0].shape}: "
                    "give them one size with data.image_size"
                )
            images.append(image)
            labels.append(record[label_key])
    return Split(np.stack(images), {"label": np.asarray(labels, np.int32)})


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Returns the image (height, width, channels) as uint8 with `size` pixels a side, bilinear."""
    if image.shape[:2] == (size, size):
        return image
    planes = [
        np.asarray(Image.fromarray(image[..., c]).resize((size, size), Image.Resampling.BILINEAR))
        for c in range(image.shape[-1])
    ]
    return np.stack(planes, axis=-1)


def cached_split(path: Path, split: str, image_size: int, read: Callable[[], Split]) -> Split:
    """Returns what `read` returns, from a file in the cache when the set's files are unchanged.

    The file is written beside its name and moved, so that a half-written one is never read; where
    the cache cannot be used, the set is decoded every time.
    """
    state = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(path.iterdir())]
    text = f"1 {path.resolve()} {split} {image_size} {state}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    file = caches.folder() / "datasets" / f"{path.parent.name}-{path.name}-{split}-{digest}.npz"
    try:
        with np.load(file) as arrays:
            return Split(arrays["images"], {"label": arrays["labels"]})
    except (OSError, ValueError, KeyError, EOFError):
        pass
    result = read()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
            np.savez(part, images=result.images, labels=result.targets["label"])
        os.replace(part.name, file)
    except OSError:
        pass
    return result
