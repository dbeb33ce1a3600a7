"""The commands as functions: without flags, and without a workdir where none is wanted.

    from cnnjax import api

    network = api.train(api.config("digits", epochs=5))
    api.evaluate(network, images, labels)
    api.predict(network, ["digit.png"])

What is computed is what the commands compute, to the bit.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from cnnjax import commands, data, parallel, paths
from cnnjax import config as configuration
from cnnjax.data import Split
from cnnjax.data.dataset import Source
from cnnjax.errors import InputError, nearest
from cnnjax.evaluation import opened
from cnnjax.evaluation import predict as predicting
from cnnjax.evaluation.evaluate import evaluator
from cnnjax.evaluation.trained import Trained
from cnnjax.explain.methods import METHODS, asked, question
from cnnjax.train import run
from cnnjax.train.loop import Progress

__all__ = [
    "Progress", "Trained", "config", "data_set", "evaluate", "explain", "load", "predict",
    "predict_all", "steps", "train",
]  # fmt: skip

Place = str | os.PathLike[str]


def config(file: str = "digits", **changes: Any) -> ConfigDict:
    """Returns the config of a file, "mnist:lenet5" or "configs/mine.py", with changed fields.

    `changes` are fields of the top, and sections as dicts: `epochs=5.0, optimizer={"name": "sgd"}`.
    """
    name, _, variant = file.partition(":")
    module = commands.loaded(name, f"config file {name}")
    found = module.get_config(variant) if variant else module.get_config()
    for field, value in changes.items():
        if field not in found:
            raise InputError(f"unknown field config.{field}{nearest(field, found)}")
        if isinstance(value, Mapping):
            with found.unlocked():
                found[field].update(value)
        elif isinstance(found[field], ConfigDict):
            raise InputError(configuration.section_is(field, str(value)))
        else:
            found[field] = float(value) if isinstance(found[field], float) else value
    return found


def data_set(
    name: str,
    train: tuple[np.ndarray, Any],
    test: tuple[np.ndarray, Any],
    class_names: Sequence[str] = (),
) -> None:
    """Makes arrays a data set, which `config.data.name` can choose in this process.

    Args:
      train: images, uint8 (examples, height, width, channels), and labels (examples,), int; or in
        place of the labels what the task learns, arrays by name.
      test: the same; validation is held out of `train`.
      class_names: by label; numbers, where there are none.

    Raises InputError for a name that is taken by another set, and for arrays of other kinds.
    """
    splits = [as_split(name, images, targets) for images, targets in (train, test)]
    if not class_names and "label" in splits[0].targets:
        class_names = tuple(map(str, range(int(splits[0].targets["label"].max()) + 1)))
    source = Source(splits[0], splits[1], tuple(class_names))
    former = data.DATASETS.get(name)
    if former is not None and not getattr(former, "given", False):
        raise InputError(f"the name {name!r} is taken by a data set of cnnjax")

    def given() -> Source:
        """Arrays that the program has given."""
        return source

    given.given = True  # pyright: ignore[reportFunctionMemberAccess]
    data.DATASETS[name] = given


def as_split(name: str, images: np.ndarray, targets: Any) -> Split:
    """Returns images and targets as a split."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise InputError(
            f"images of {name} are {images.dtype} {images.shape}; wanted are uint8 (examples, "
            "height, width, channels)"
        )
    if not isinstance(targets, Mapping):
        targets = {"label": np.asarray(targets)}
        if targets["label"].dtype.kind not in "iu":
            raise InputError(f"labels of {name} are {targets['label'].dtype}; wanted are integers")
        targets = {"label": targets["label"].astype(np.int32)}
    for key, array in targets.items():
        if len(array) != len(images):
            raise InputError(f"{name} has {len(images)} images and {len(array)} of {key}")
    return Split(images, dict(targets))


def train(
    config: Mapping[str, Any],
    workdir: Place | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> Trained:
    """Trains, or goes on in a workdir, and returns the trained network.

    Without a `workdir` nothing stays on disk. `callback` hears of the progress after every call of
    the devices; what it raises ends the run.
    """
    with kept(workdir) as folder:
        for progress in run.steps(config, folder):
            if callback is not None:
                callback(progress)
        return opened.network(folder)


def steps(config: Mapping[str, Any], workdir: Place | None = None) -> Iterator[Progress]:
    """Trains as it is iterated over; whoever stops early has a checkpoint in the workdir, if any.

    for progress in api.steps(config, "runs/mine"):
        if progress.validation and progress.validation["accuracy"] > 0.99:
            break
    """
    with kept(workdir) as folder:
        yield from run.steps(config, folder)


@contextlib.contextmanager
def kept(workdir: Place | None) -> Iterator[Path]:
    """Yields the workdir, or one that is gone afterwards."""
    if workdir is not None:
        yield paths.expanded(workdir)
        return
    with tempfile.TemporaryDirectory(prefix="cnnjax-") as folder:
        yield Path(folder)


def load(place: Place, **options: Any) -> Trained:
    """Returns the trained network in a workdir or file; options as of `opened.network`."""
    return opened.network(paths.expanded(place), **options)


def evaluate(
    network: Trained, images: np.ndarray, targets: Any, batch_size: int = 500
) -> dict[str, float]:
    """Returns loss and figures of the network's task on images and labels, as in `data_set`."""
    mapper = parallel.mapper()
    split = as_split("the data", images, targets)
    if split.images.shape[1:] != network.shape:
        given = split.images.shape[1:]
        raise InputError(f"images are {given}, and the network takes {network.shape}")
    scored = evaluator(network.task, network.module, network.preprocess, mapper, batch_size)
    return scored(mapper.replicate(network.variables), split)


def predict_all(network: Trained, images: np.ndarray, batch_size: int = 64) -> Any:
    """Returns what the task predicts of uint8 images of the network's shape: arrays (images, ...).

    Of a classifier the probabilities, (images, classes).
    """
    return predicting.predictions(network, list(images), batch_size)


def predict(network: Trained, files: Sequence[Place]) -> list[Any]:
    """Returns what `experiments.predict --json` prints of image files: findings, likeliest first.

    Where a file cannot be read, the InputError that says why stands in its place.
    """
    found = []
    for file, answer in predicting.of_files(network, [paths.expanded(f) for f in files]):
        if isinstance(answer, InputError):
            found.append(answer)
            continue
        seen = predicting.in_picture(network, file, answer)
        found.append(network.task.findings(seen.prediction, seen.facts))
    return found


def explain(
    network: Trained,
    image: Place | np.ndarray,
    method: str = "grad_cam",
    layer: str | None = None,
    label: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Returns how much each pixel of an image speaks for a class, (height, width) float32.

    Args:
      image: a file, or uint8 (height, width, channels) of the network's shape.
      method: in `explain.methods.METHODS`.
      layer: of Grad-CAM and its kin; None for the last one with places.
      label: the class that is asked for; None for the likeliest.
    """
    if not isinstance(image, np.ndarray):
        image = predicting.read_image(paths.expanded(image), network.preprocessing)
    if label is None:
        label = int(predict_all(network, image[None])[0].argmax())
    asking = question(network.module, network.variables, network.preprocess, network.shape, layer)
    answer = asked(METHODS[method], asking)
    return answer(network.variables, image, label, jax.random.key(seed))[0]
