"""What a network finds in image files."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image, ImageOps

from cnnjax import compiler
from cnnjax.data import Facts
from cnnjax.errors import InputError
from cnnjax.evaluation.trained import Trained
from cnnjax.images import read
from cnnjax.tasks import Task, View


def read_image(path: Path, shape: tuple[int, int, int], invert: bool = False) -> np.ndarray:
    """Returns any image file as uint8 of `shape` (height, width, channels).

    Rotated as its EXIF tag says; laid on white where transparent; 16 bits scaled to 8; as grey or
    RGB; resized, keeping proportions, to cover the shape, and cut to its centre. `invert` turns
    dark on light into light on dark, as in MNIST.
    """
    height, width, channels = shape
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            image.load()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not an image that can be read: {reason}") from None
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        top = 65535 if image.mode.startswith("I") else max(values.max(initial=0), 1e-9)
        image = Image.fromarray(np.clip(values / top * 255, 0, 255).round().astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if channels == 1 else "RGB")
    image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.uint8).reshape(height, width, channels)
    return 255 - pixels if invert else pixels


def predictions(trained: Trained, images: Sequence[np.ndarray], batch: int = 64) -> Any:
    """Returns what the task predicts of images of the network's shape: arrays (images, ...)."""

    @compiler.jit
    def forward(variables, pixels):
        outputs: Any = trained.module.apply(variables, trained.preprocess(pixels), train=False)
        return trained.task.predict(outputs)

    batch = min(batch, len(images))
    rows = []
    for start in range(0, len(images), batch):
        part = np.stack(images[start : start + batch])
        missing = batch - len(part)
        padded = np.pad(part, ((0, missing), (0, 0), (0, 0), (0, 0)))
        found = forward(trained.variables, padded)
        rows.append(jax.tree.map(np.asarray, found))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[: len(images)], *rows)


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """A picture with what was predicted of it.

    Attributes:
      pixels: the whole picture, (height, width, 3), uint8.
      prediction: placed in the whole picture.
      facts: of the network, with the picture's shape.
    """

    pixels: np.ndarray
    prediction: Any
    facts: Facts


def in_pictures(trained: Trained, files: Sequence[str], predictions: Any) -> list[Seen]:
    """Returns what was predicted of each image file, in its own pixels."""
    result = []
    for i, file in enumerate(files):
        pixels = read(file, 3)
        one = jax.tree.map(lambda x, i=i: x[i], predictions)
        one = trained.task.place(one, view_of(pixels.shape, trained.shape))
        height, width, channels = pixels.shape
        facts = dataclasses.replace(trained.facts, shape=(height, width, channels))
        result.append(Seen(pixels, one, facts))
    return result


def view_of(picture: tuple[int, ...], shape: tuple[int, int, int]) -> View:
    """Returns the part of a picture that `read_image` shows a network of `shape`."""
    ratio = (picture[1] / picture[0]) / (shape[1] / shape[0])
    wide, high = min(1, 1 / ratio), min(1, ratio)
    return (1 - wide) / 2, (1 - high) / 2, (1 + wide) / 2, (1 + high) / 2


def write_pictures(folder: Path, files: Sequence[str], seen: Sequence[Seen], task: Task) -> None:
    """Writes a PNG per image file that shows what was predicted of it, into `folder`.

    A name that several files share gets a number.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from None
    names = collections.Counter()
    for file, one in zip(files, seen, strict=True):
        picture = task.draw(Image.fromarray(one.pixels), one.prediction, one.facts)
        stem = Path(file).stem
        names[stem] += 1
        number = f"_{names[stem]}" if names[stem] > 1 else ""
        picture.save(folder / f"{stem}{number}.png")
