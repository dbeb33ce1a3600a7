"""Networks on CIFAR-10 (50,000 and 10,000 images of 32x32).

    python -m experiments.train --config=configs/cifar10.py:resnet20 --workdir=runs/resnet20

The recipe is that of He et al. 2015 (arXiv 1512.03385, section 4.2), less its augmentation.

Test accuracy after `:NAME,epochs=3`, seed 0, of images that were JPEG files once, on two CPU cores:
resnet20 72.04 %, alexnet_lite 58.03 %, squeezenet1_1 35.83 % (its maps are 1x1 from the fifth
block on).
"""

from cnnjax.config import default, parse


def get_config(text=None):
    arguments = parse(text, model="resnet20", epochs=164.0)
    config = default()
    config.model.name = arguments.model
    config.data.name = "cifar10"
    config.epochs, config.batch_size = arguments.epochs, 128
    config.optimizer.name, config.optimizer.learning_rate = "momentum", 0.1
    config.optimizer.weight_decay = 1e-4
    config.schedule.name, config.schedule.boundaries = "step", (0.5, 0.75)
    if arguments.model in ("alexnet_lite", "squeezenet1_0", "squeezenet1_1"):
        # Without normalisation layers, 0.1 diverges.
        config.optimizer.learning_rate = 0.01
    return config
