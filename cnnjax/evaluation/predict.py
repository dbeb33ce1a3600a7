"""What a network finds in image files."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from cnnjax import compiler, images
from cnnjax.data import Facts
from cnnjax.data.files import attempted
from cnnjax.data.folders import printable
from cnnjax.errors import InputError
from cnnjax.evaluation.trained import Trained
from cnnjax.tasks import Task


def read_image(file: Path | str, record: images.Preprocessing, invert: bool = False) -> np.ndarray:
    """Returns any image file as uint8 (height, width, channels), as the network has learnt to see.

    `invert` turns dark on light into light on dark, as in MNIST.
    """
    pixels = images.load(file, record)
    return 255 - pixels if invert else pixels


def predictor(trained: Trained, batch: int) -> Callable[[Sequence[np.ndarray]], Any]:
    """Returns a function from at most `batch` images to what the task predicts of them."""

    @compiler.jit
    def forward(variables, pixels):
        outputs: Any = trained.module.apply(variables, trained.preprocess(pixels), train=False)
        return trained.task.predict(outputs)

    def predicted(images: Sequence[np.ndarray]) -> Any:
        part = np.stack(images)
        padded = np.pad(part, ((0, batch - len(part)), (0, 0), (0, 0), (0, 0)))
        found = forward(trained.variables, padded)
        return jax.tree.map(lambda x: np.asarray(x)[: len(part)], found)

    return predicted


def predictions(trained: Trained, images: Sequence[np.ndarray], batch: int = 64) -> Any:
    """Returns what the task predicts of images of the network's shape: arrays (images, ...)."""
    batch = min(batch, len(images))
    predicted = predictor(trained, batch)
    rows = [predicted(images[start : start + batch]) for start in range(0, len(images), batch)]
    return jax.tree.map(lambda *parts: np.concatenate(parts), *rows)


def of_files(
    trained: Trained, files: Sequence[Path], invert: bool = False, batch: int = 64
) -> Iterator[tuple[Path, Any]]:
    """Yields each file with what the task predicts of it, or the InputError that says why not.

    In the order of the files, of which a batch is in memory; read in parallel, with a progress bar.
    """
    batch = min(batch, len(files))
    predicted = predictor(trained, batch)
    read = functools.partial(read_image, record=trained.preprocessing, invert=invert)
    waiting: list[tuple[Path, Any]] = []

    def done() -> Iterator[tuple[Path, Any]]:
        readable = [pixels for _, pixels in waiting if not isinstance(pixels, InputError)]
        found = predicted(readable) if readable else None
        row = 0
        for file, pixels in waiting:
            if isinstance(pixels, InputError):
                yield file, pixels
            else:
                yield file, jax.tree.map(lambda x, row=row: x[row], found)
                row += 1

    what = "predicting" if len(files) > batch else ""
    for file, pixels in zip(files, attempted(files, read, what), strict=True):
        waiting.append((file, pixels))
        if len(waiting) == batch:
            yield from done()
            waiting.clear()
    yield from done()


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


def placed(
    trained: Trained, prediction: Any, height: int, width: int, channels: int = 3
) -> tuple[Any, Facts]:
    """Returns what was predicted of a picture in its own pixels, and the facts with its shape."""
    view = images.view((height, width), trained.preprocessing)
    facts = dataclasses.replace(trained.facts, shape=(height, width, channels))
    return trained.task.place(prediction, view), facts


def in_picture(trained: Trained, file: Path | str, prediction: Any) -> Seen:
    """Returns what was predicted of an image file, in its own pixels."""
    pixels = images.read(file, 3, exif=trained.preprocessing.exif)
    return Seen(pixels, *placed(trained, prediction, *pixels.shape))


def write_pictures(
    folder: Path,
    files: Sequence[Path | str],
    seen: Iterable[Seen],
    task: Task,
    draw: Callable[[Seen], Image.Image] | None = None,
) -> None:
    """Writes a PNG per image file that shows what was predicted of it, into `folder`.

    As the task draws it, or `draw`. A name that several files share gets a number.
    """
    taken: set[str] = set()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, one in zip(files, seen, strict=True):
            if draw is None:
                picture = task.draw(Image.fromarray(one.pixels), one.prediction, one.facts)
            else:
                picture = draw(one)
            picture.save(folder / f"{unique(printable(Path(file).stem), taken)}.png")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from None


def unique(name: str, taken: set[str]) -> str:
    """Returns the name, with a number where it is taken, and takes it."""
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    found = next(n for n in names if n not in taken)
    taken.add(found)
    return found
