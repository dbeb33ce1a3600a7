"""What is measured: networks, each with its images, batch and optimiser."""

from __future__ import annotations

import dataclasses

from cnnjax.registry import Table

# Of a turn, in the order they are taken; a `Prepared` has a function of each name.
MODES = ("train", "forward", "pipeline")


@dataclasses.dataclass(frozen=True)
class Work:
    """A network to train and to use.

    Attributes:
      config: file and variant under configs/ that our own side starts from.
      shape: height, width, channels.
      optimizer: "adam" or "momentum" (0.9, with weight decay 1e-4).
      dialect: of our network, where the default is not what the others compute.
      epochs: how many there may be until the accuracy is reached; 0: only speed is measured.
    """

    name: str
    config: str
    shape: tuple[int, int, int]
    classes: int
    batch: int
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    dialect: str = ""
    epochs: int = 0

    @property
    def network(self) -> str:
        return self.config.partition(":")[2]


DIGITS = (28, 28, 1)
# One of each kind that images of any number of channels take, in one pipeline.
AUGMENT = (
    "crop(4)|flip|vflip|shift(0.1)|rotate(15)|scale(0.1)|zoom(0.9, 1.1)|stretch(0.1)|shear(10)"
    "|resized_crop(0.5)|brightness(0.2)|contrast(0.2)|gamma(0.2)|noise(5)|blur(1)|cutout(8)"
    "|mixup(0.2)"
)
OF_COLOURS = "saturation(0.2)|hue(0.1)|grey(0.1)|"
# To this accuracy on the test split of MNIST, from the start of the process.
ACCURACY = 0.99


def works(accelerator: bool = False) -> Table[Work]:
    """Returns the works by name; ResNet-50 takes images of 224 pixels on an accelerator only."""
    side, batch = (224, 256) if accelerator else (64, 32)
    residual = {"optimizer": "momentum", "learning_rate": 0.01}
    listed = (
        Work("lenet5", "mnist:lenet5", DIGITS, 10, 128),
        Work("first_convnet", "mnist:first_convnet", DIGITS, 10, 128),
        Work("mnist_cnn", "mnist:mnist_cnn", DIGITS, 10, 128),
        Work("resnet20", "cifar10:resnet20", (32, 32, 3), 10, 128, **residual),
        Work("resnet50", "imagenet:resnet50", (side, side, 3), 1000, batch, **residual,
             dialect="torch"),
        Work("mnist_99", "mnist:lenet5", DIGITS, 10, 128, epochs=20),
    )  # fmt: skip
    return Table("work", {work.name: work for work in listed})


QUICK = ("lenet5",)
