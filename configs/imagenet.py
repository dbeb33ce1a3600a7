"""ImageNet networks at their published input sizes, for summaries, benchmarks and training.

python -m experiments.summary --config=configs/imagenet.py:vgg16
"""

from cnnjax.config import default, parse

# Pixels per side, where it is not 224: the papers' own.
SIDES = {
    "alexnet": 227,
    "inception_v3": 299,
    "inception_resnet_v2": 299,
    "xception": 299,
    "nasnet_large": 331,
}


def get_config(text=None):
    arguments = parse(text, model="resnet50")
    config = default()
    config.model.name = arguments.model
    config.data.name = "imagenet2012"
    config.data.image_size = SIDES.get(arguments.model, 224)
    config.epochs, config.batch_size = 90.0, 256
    config.label_smoothing = 0.1
    config.optimizer.name, config.optimizer.learning_rate = "nesterov", 0.1
    config.optimizer.weight_decay = 1e-4
    config.schedule.name, config.schedule.warmup_epochs = "cosine", 5.0
    return config
