"""Segments by a table from grey to class alone: what a network with a sense of place must beat.

python -m experiments.intensity_table --config=configs/segmentation.py --config.data.path=DIR

The table holds the likeliest class of each of the 256 greys of the training images, and is tested
as a network is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from absl import flags

from experiments import configuration, launch, printed

CONFIG = configuration.define()
flags.declare_key_flag("config")
JSON = flags.DEFINE_bool("json", False, "Print one JSON object.")


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    from rich.table import Table

    from cnnjax import config, tasks
    from cnnjax.data.folders import printable
    from cnnjax.errors import InputError
    from cnnjax.evaluation import trained

    values = tasks.resolved(config.check(configuration.value(CONFIG)))
    if values["task"] != "segmentation":
        raise InputError("a table from grey to class is for config.task=segmentation")
    dataset = trained.load_data(values)
    if dataset.shape[2] != 1:
        raise InputError(
            "a table from grey to class needs grey images: give config.data.channels=1"
        )
    train = counted(dataset.train.images, dataset.train.targets["mask"], dataset.classes)
    tested = counted(dataset.test.images, dataset.test.targets["mask"], dataset.classes)
    found = ious(train, tested)
    rows = dict(zip(dataset.class_names, found.tolist(), strict=True))
    if JSON.value:
        print(json.dumps({"mean_iou": float(np.nanmean(found)), "classes": rows}))
        return 0
    table = Table("class", "iou")
    for name, value in {**rows, "mean": float(np.nanmean(found))}.items():
        table.add_row(printable(name), f"{value:.4f}")
    printed.console().print(table)
    return 0


def counted(images: np.ndarray, masks: np.ndarray, classes: int) -> np.ndarray:
    """Returns how often each grey is of each class, (256, classes)."""
    known = masks < classes
    pairs = np.asarray(images)[..., 0][known].astype(np.int64) * classes + masks[known]
    return np.bincount(pairs, minlength=256 * classes).reshape(256, classes)


def ious(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Returns intersection over union of each class, of two counts of greys and classes."""
    likeliest = np.eye(train.shape[1])[train.argmax(1)]  # (256, classes)
    confusion = likeliest.T @ test
    right = np.diagonal(confusion)
    either = confusion.sum(0) + confusion.sum(1) - right
    return np.where(either > 0, right / np.maximum(either, 1), np.nan)


if __name__ == "__main__":
    launch.run(main)
