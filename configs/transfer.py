"""From digits 0 to 4 of MNIST to 5 to 9, of which 200 images are given: the ways of the articles.

    python -m experiments.train --config=configs/transfer.py:source --workdir=runs/source
    python -m experiments.train --config=configs/transfer.py:frozen --workdir=runs/frozen

`source` trains first_convnet on digits 0 to 4. Of the others, each from `runs/source`: `frozen`
trains the dense layers, on convolutions that stay as they are; `finetune` trains all of it;
`two_phase` trains the dense layers first, then all at a lower rate; `scratch` is the comparison,
from chance.
"""

from cnnjax.config import default, parse
from cnnjax.registry import Table


def get_config(text=None):
    arguments = parse(text, mode="frozen")
    config = default()
    config.model.name = "first_convnet"
    config.data.name, config.data.normalize = "mnist", "unit"
    config.data.only = ("5", "6", "7", "8", "9")
    config.data.validation, config.data.limit = 0.1, 200
    config.epochs, config.batch_size = 40.0, 20
    config.optimizer.learning_rate = 1e-3
    config.schedule.name = "cosine"
    config.init.path = "runs/source"
    config.report.every_steps = 100
    config.evaluate.every_epochs = config.checkpoint.every_epochs = 20.0
    MODES[arguments.mode](config)
    return config


def source(config):
    config.init.path = ""
    config.data.only, config.data.limit = ("0", "1", "2", "3", "4"), 0
    config.epochs, config.batch_size = 3.0, 64
    config.evaluate.every_epochs = config.checkpoint.every_epochs = 1.0


def scratch(config):
    config.init.path = ""


def frozen(config):
    config.freeze = "block.*"


def finetune(config):
    """All layers, those of the source at a third of the rate of the fresh head."""
    config.optimizer.rates = (("block.*|dense1", 0.3),)


def two_phase(config):
    frozen(config)
    config.unfreeze.after_epochs, config.unfreeze.learning_rate = 20.0, 2e-4


MODES = Table(
    "mode",
    source=source,
    scratch=scratch,
    frozen=frozen,
    finetune=finetune,
    two_phase=two_phase,
)
