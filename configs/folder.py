"""Your own images: a directory per class, or train, validation and test directories, or a CSV.

python -m experiments.train --config=configs/folder.py --config.data.path=DIR --workdir=runs/mine

`cnnjax.data.folder` lists the fields of `config.data`: classes in another order, the share of the
test split, what a broken file does, streaming. `data.sampling=balanced` draws small classes as
often as large ones.
"""

from cnnjax.config import default, parse


def get_config(text=None):
    arguments = parse(text, model="resnet20", size=64)
    config = default()
    config.data.name, config.data.path = "folder", ""
    config.data.image_size, config.data.resize = arguments.size, "crop"
    config.model.name = arguments.model
    config.epochs, config.batch_size = 20.0, 32
    config.augment = "crop(8)|flip"
    config.optimizer.name, config.optimizer.learning_rate = "adamw", 2e-3
    config.optimizer.weight_decay = 0.05
    config.schedule.name, config.schedule.warmup_epochs = "cosine", 1.0
    config.evaluate.every_epochs, config.checkpoint.every_epochs = 4.0, 5.0
    return config
