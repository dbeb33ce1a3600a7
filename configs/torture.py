"""A run of seconds for experiments.torture: reports, saves and validates often, with a bad label.

    python -m experiments.torture --minutes=5

The data set is the synthetic one with one label that no class has: the loss of its batches is not a
number. A config file may bring a data set of its own in this way.
"""

from cnnjax.config import default
from cnnjax.data import DATASETS
from cnnjax.data.dataset import Split
from cnnjax.data.sources import Source, synthetic


def poisoned(examples: int = 200, size: int = 10) -> Source:
    """The synthetic set; the sixth label of its training split is none."""
    source = synthetic(examples, size=size)
    labels = source.train.targets["label"].copy()
    labels[5] = 255
    return Source(Split(source.train.images, {"label": labels}), source.test, source.class_names)


DATASETS.setdefault("poisoned", poisoned)


def get_config(arg=None):
    """Returns the config."""
    del arg
    config = default()
    config.epochs, config.batch_size = 40.0, 10
    config.model.name, config.model.kernel = "lenet5", 3
    config.model.features, config.model.units = (4, 8), (16,)
    config.data.name, config.data.validation = "poisoned", 0.2
    config.optimizer.name = "momentum"
    config.optimizer.learning_rate = 0.02
    config.evaluate.every_epochs = 2.0
    config.checkpoint.every_epochs, config.report.every_steps = 0.5, 5
    return config
