"""Images that stay on disk, with the face of an array: what is taken of them is decoded then."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax import images
from cnnjax.data import workers
from cnnjax.data.cache import cached
from cnnjax.errors import InputError
from cnnjax.images import Preprocessing


@dataclasses.dataclass(frozen=True, eq=False)
class Files:
    """Image files read as one record says: uint8, (n, height, width, channels), by their places."""

    files: tuple[Path, ...]
    record: Preprocessing
    dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.files), *self.record.size, self.record.channels)

    @property
    def nbytes(self) -> int:
        """Bytes of all images, decoded."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, places: Any) -> np.ndarray:
        """Returns the images at the places (an array of any shape, or a slice), decoded."""
        wanted = np.arange(len(self.files))[places]
        result = np.empty((wanted.size, *self.shape[1:]), np.uint8)
        for i, pixels in enumerate(workers.each(self.one, wanted.ravel().tolist(), "")):
            result[i] = pixels
        return result.reshape(*wanted.shape, *self.shape[1:])

    def take(self, places: Any, axis: int = 0) -> Files:
        """Returns the images at the places, in this order, still on disk."""
        if axis:
            raise ValueError("files have one dimension to take from")
        return Files(tuple(self.files[i] for i in np.asarray(places)), self.record)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        del copy
        return self[:].astype(dtype or self.dtype, copy=False)

    def one(self, place: int) -> np.ndarray:
        return images.load(self.files[place], self.record)


def attempted(
    files: Sequence[Path], read: Callable[[Path], np.ndarray], what: str
) -> Iterator[np.ndarray | InputError]:
    """Yields what is read of each file, or the InputError that says why there is nothing."""

    def attempt(file: Path) -> np.ndarray | InputError:
        try:
            return read(file)
        except InputError as error:
            return error

    return workers.each(attempt, files, what)


def decoded(
    files: Sequence[Path], record: Preprocessing, what: str
) -> tuple[np.ndarray, dict[int, str]]:
    """Returns the files that can be read as uint8 (n, height, width, channels), in their order.

    And place -> why of those that cannot.
    """
    result = np.empty((len(files), *record.size, record.channels), np.uint8)
    bad, count = {}, 0
    for i, found in enumerate(attempted(files, partial(images.load, record=record), what)):
        if isinstance(found, InputError):
            bad[i] = str(found)
        else:
            result[count] = found
            count += 1
    return result[:count], bad


def broken(files: Sequence[Path], record: Preprocessing, what: str) -> dict[int, str]:
    """Returns place -> why of the files that cannot be read; decodes all of them."""
    found = enumerate(attempted(files, partial(images.load, record=record), what))
    return {i: str(one) for i, one in found if isinstance(one, InputError)}


def counts(images: Files) -> np.ndarray:
    """Returns how often each channel has each of the 256 values, (channels, 256), cached."""

    def read() -> dict[str, np.ndarray]:
        total = np.zeros((images.record.channels, 256), np.int64)
        places = range(len(images))
        for pixels in workers.each(images.one, places, "measuring the training images"):
            for channel, row in enumerate(total):
                row += np.bincount(pixels[..., channel].ravel(), minlength=256)
        return {"counts": total}

    state = digest(images.files, 1, images.record)
    place = hashlib.sha256(os.fsencode(os.path.commonpath(images.files))).hexdigest()[:8]
    return cached(f"folder-counts-{place}", state, read)["counts"]


def digest(files: Sequence[Path], *facts: Any) -> str:
    """Returns a digest of names, sizes and times of files, and of anything else."""
    state = hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape"))
    for file in files:
        status = file.stat()
        line = f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n"
        state.update(line.encode("utf-8", "surrogateescape"))
    return state.hexdigest()


def stream(
    files: Files, places: Callable[[int], np.ndarray], start: int, processes: int = 0
) -> Iterator[np.ndarray]:
    """Yields the images of the steps from `start` on: those at `places(step)`, of equal number.

    Decoded ahead by Grain, in threads, or in so many processes. The order is that of the places,
    whoever decodes: a step holds the same images after a resume as without one.
    """
    import grain
    from absl import flags

    if not flags.FLAGS.is_parsed():  # Grain reads its own, in programs without absl's app, too
        flags.FLAGS.mark_as_parsed()
    size = len(places(start))
    steps: Any = Steps(files, places, start, size)
    read: Any = grain.MapDataset.source(steps)
    ahead = grain.ReadOptions(num_threads=workers.cores(), prefetch_buffer_size=2 * size)
    read = read.to_iter_dataset(ahead)
    if processes:
        options = grain.MultiprocessingOptions(num_workers=processes, per_worker_buffer_size=size)
        read = read.mp_prefetch(options)
    examples = iter(read)
    while True:
        yield np.stack([next(examples) for _ in range(size)])


def ahead(
    files: Files, places: Callable[[int], np.ndarray], processes: int = 0
) -> Callable[[int], np.ndarray]:
    """Returns a function from a step to its images, which are decoded before they are asked for.

    It goes on from any step; steps in a row are quick.
    """
    batches: Iterator[np.ndarray] = iter(())
    coming = -1

    def images_of(step: int) -> np.ndarray:
        nonlocal batches, coming
        if step != coming:
            batches = stream(files, places, step, processes)
        coming = step + 1
        return next(batches)

    return images_of


@dataclasses.dataclass(frozen=True, eq=False)
class Steps:
    """The images of the steps from `start` on, one after the other, as a source of Grain."""

    files: Files
    places: Callable[[int], np.ndarray]
    start: int
    size: int

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, position: Any) -> np.ndarray:
        step, row = divmod(int(position), self.size)
        return self.files.one(int(self.places(self.start + step)[row]))
