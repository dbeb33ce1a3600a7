"""What a network finds in image files."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image, ImageOps

from cnnjax import compiler
from cnnjax.errors import InputError
from cnnjax.evaluation.trained import Trained
from cnnjax.images import read


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


def write_pictures(
    folder: Path, files: Sequence[str], predictions: Sequence[Any], trained: Trained
) -> None:
    """Writes a PNG per image file that shows what was predicted of it, into `folder`.

    A name that several files share gets a number.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from None
    names = collections.Counter()
    for file, prediction in zip(files, predictions, strict=True):
        picture = trained.task.draw(Image.fromarray(read(file, 3)), prediction, trained.facts)
        stem = Path(file).stem
        names[stem] += 1
        number = f"_{names[stem]}" if names[stem] > 1 else ""
        picture.save(folder / f"{stem}{number}.png")
