"""A run of seconds for experiments.torture: reports, saves and validates often, with a bad target.

    python -m experiments.torture --minutes=5
    python -m experiments.torture --minutes=5 --task=localization
    python -m experiments.torture --minutes=5 --task=detection

The data sets are the project's own with one target that is none, for which the loss of its batches
is not a number. A config file may bring a data set of its own in this way.
"""

from functools import partial

import numpy as np

from cnnjax.config import default, parse
from cnnjax.data import DATASETS
from cnnjax.data.dataset import Split
from cnnjax.data.sources import Source, scenes, synthetic
from cnnjax.registry import Table

# Task -> a set that serves it, the target that is spoiled, and what with.
SPOILED = Table(
    "task to torture",
    classification=(synthetic, "label", 255),
    localization=(scenes, "box", np.nan),
    detection=(partial(scenes, "detection"), "boxes", np.nan),
)
# Pixels per side: scenes have no room for a digit below 24.
SIZES = {"classification": 10, "localization": 24, "detection": 24}


def poisoned(task: str = "classification", examples: int = 200, size: int = 10) -> Source:
    """A set of the project; a target of the sixth example of its training split is none."""
    make, name, value = SPOILED[task]
    source = make(examples=examples, size=size)
    targets = dict(source.train.targets)
    targets[name] = targets[name].copy()
    targets[name][5] = value
    return Source(Split(source.train.images, targets), source.test, source.class_names)


DATASETS.setdefault("poisoned", poisoned)


def get_config(text=None):
    """Returns the config; `text` is the task."""
    task = parse(text, task="classification").task
    SPOILED[task]  # refuses one that it has nothing for
    config = default()
    config.task, config.data.size = task, SIZES[task]
    config.epochs, config.batch_size = 40.0, 10
    if task == "detection":
        config.model.name, config.model.backbone = "fcos", "resnet20"
        config.model.backbone_blocks, config.model.backbone_width = 1, 4
        config.model.finest, config.model.levels = 2, 2
        config.model.features, config.model.depth = 8, 1
    else:
        config.model.name, config.model.kernel = "lenet5", 3
        config.model.features, config.model.units = (4, 8), (16,)
    config.data.name, config.data.validation = "poisoned", 0.2
    config.optimizer.name = "momentum"
    config.optimizer.learning_rate = 0.02
    config.evaluate.every_epochs = 2.0
    config.checkpoint.every_epochs, config.report.every_steps = 0.5, 5
    return config
