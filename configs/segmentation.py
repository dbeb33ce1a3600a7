"""A folder of your own images and masks, images/, masks/ and split.csv, by a small U-Net.

python -m experiments.train --config=configs/segmentation.py --config.data.path=DIR \\
    --workdir=runs/masks
"""

from cnnjax.config import default, parse


def get_config(text=None):
    arguments = parse(text, network="unet_padded", width=16)
    config = default()
    config.task, config.data.name = "segmentation", "masks"
    config.data.path = ""
    config.data.validation = 0.1
    config.model.name, config.model.width = arguments.network, arguments.width
    config.epochs, config.batch_size = 30.0, 4
    config.augment = "flip"
    config.optimizer.learning_rate = 2e-3
    config.schedule.name, config.schedule.warmup_epochs = "cosine", 1.0
    config.evaluate.batch_size = 8
    config.evaluate.every_epochs, config.checkpoint.every_epochs = 5.0, 10.0
    config.report.every_steps = 20
    return config
