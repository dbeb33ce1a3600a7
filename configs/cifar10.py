"""Networks on CIFAR-10 (50,000 and 10,000 images of 32x32).

    python -m experiments.train --config=configs/cifar10.py:resnet20 --workdir=runs/resnet20

The recipe is that of He et al. 2015 (arXiv 1512.03385, section 4.2), less its augmentation.

Test accuracy after `:NAME,epochs=3`, seed 0, of images that were JPEG files once, on two CPU cores:
resnet20 72.04 %, alexnet_lite 58.03 %, squeezenet1_1 35.83 % (its maps are 1x1 from the fifth
block on).

    python -m experiments.train --config=configs/cifar10.py:speedrun --workdir=runs/speedrun

is after airbench94 (Jordan 2024, arXiv 2404.00498), which reaches 94 % in 9.9 epochs: its network,
initialisation, schedule, augmentation and batch. Less its whitening by the training set, its faster
biases, its averaged weights and the six views it tests on. `:speedrun,epochs=0.5`, 24 steps, ends
at 54.22 % of images that were JPEG files once.
"""

from cnnjax.config import default, parse


def get_config(text=None):
    arguments = parse(text, model="resnet20", epochs=0.0)
    config = default()
    config.data.name = "cifar10"
    if arguments.model == "speedrun":
        return speedrun(config, arguments.epochs or 9.9)
    config.model.name, arguments.epochs = arguments.model, arguments.epochs or 164.0
    config.epochs, config.batch_size = arguments.epochs, 128
    config.optimizer.name, config.optimizer.learning_rate = "momentum", 0.1
    config.optimizer.weight_decay = 1e-4
    config.schedule.name, config.schedule.boundaries = "step", (0.5, 0.75)
    if arguments.model in ("alexnet_lite", "squeezenet1_0", "squeezenet1_1"):
        # Without normalisation layers, 0.1 diverges.
        config.optimizer.learning_rate = 0.01
    return config


def speedrun(config, epochs):
    config.model.name, config.data.validation = "airbench", 0.0
    config.epochs, config.batch_size = epochs, 1024
    config.augment, config.label_smoothing = "crop(2, reflect)|flip", 0.2
    config.optimizer.name, config.optimizer.momentum = "nesterov", 0.85
    # There 11.5 and 0.0153 for 1,024 summed losses and a step of 1 / (1 - momentum), and one more.
    config.optimizer.learning_rate, config.optimizer.weight_decay = 1.5, 1.33e-3
    config.optimizer.decay = ".*/kernel"
    config.schedule.name, config.schedule.warmup_epochs = "one_cycle", 0.23 * epochs
    config.schedule.final = 0.07
    config.evaluate.every_epochs, config.checkpoint.every_epochs = 0.0, 0.0
    config.evaluate.batch_size = 1000
    return config
