"""Networks on scikit-learn's digits: 1,797 images of 8x8, bundled, so this runs anywhere.

python -m experiments.train --config=configs/digits.py --workdir=runs/digits
"""

from cnnjax.config import default, parse


def get_config(text=None):
    arguments = parse(text, model="lenet5")
    config = default()
    config.model.name = arguments.model
    if arguments.model == "lenet5":
        config.model.act, config.model.pool = "relu", "max"
    config.data.name, config.data.image_size = "digits", 28
    config.epochs, config.batch_size = 40.0, 64
    config.optimizer.learning_rate, config.label_smoothing = 2e-3, 0.1
    config.schedule.name, config.schedule.warmup_epochs = "cosine", 1.0
    config.evaluate.every_epochs, config.checkpoint.every_epochs = 4.0, 20.0
    return config
