"""Which network is compared with which."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.oracles import stages

Stages = Callable[[Any], dict[str, str]]


@dataclasses.dataclass(frozen=True)
class Case:
    """A name of ours, and what computes the same function elsewhere.

    Attributes:
      source: "keras", "torchvision", "timm", or "torch" for torch.nn.
      oracle: the source's name of the network. Those that nobody ships are written down, in the
        source's layers, in `keras_written` and `torch_written`.
      dialect: of `models.DIALECTS`; "" for a family without.
      stages: of our network, see `stages.py`.
      sides: of the square images; an even and an odd one.
      gain: of the batch normalisations, so that the activations neither explode nor vanish.
      double: whether to compare in float64, too.
      told: names and values of what the file does not tell, and a user has to.
    """

    name: str
    source: str
    oracle: str
    dialect: str
    stages: Stages
    sides: tuple[int, ...] = (96, 97)
    gain: float = 1.0
    channels: int = 3
    double: bool = False
    flattens: bool = False
    told: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.name}-{self.source}"


def keras() -> list[Case]:
    networks: list[tuple[str, str, Stages, float]] = [
        ("vgg16", "VGG16", stages.vgg_keras, 1.0),
        ("vgg19", "VGG19", stages.vgg_keras, 1.0),
        ("inception_v3", "InceptionV3", stages.inception_v3_keras, 1.0),
        ("inception_resnet_v2", "InceptionResNetV2", stages.inception_resnet_v2_keras, 1.0),
        *((f"resnet{n}", f"ResNet{n}", stages.resnet_keras, 0.5) for n in (50, 101, 152)),
        *((f"resnet{n}_v2", f"ResNet{n}V2", stages.resnet_v2_keras, 0.5) for n in (50, 101, 152)),
        *((f"densenet{n}", f"DenseNet{n}", stages.densenet_keras, 1.0) for n in (121, 169, 201)),
        ("xception", "Xception", stages.xception_keras, 0.6),
        ("mobilenet_v1", "MobileNet", stages.mobilenet_v1_keras, 1.0),
        ("mobilenet_v2", "MobileNetV2", stages.mobilenet_v2_keras, 0.7),
        ("nasnet_mobile", "NASNetMobile", stages.nasnet_keras, 0.7),
        ("nasnet_large", "NASNetLarge", stages.nasnet_keras, 0.7),
    ]
    return [
        Case(name, "keras", oracle, "keras", stages, gain=gain, flattens=name.startswith("vgg"))
        for name, oracle, stages, gain in networks
    ]


def torchvision() -> list[Case]:
    networks: list[tuple[str, Stages, float]] = [
        ("alexnet", stages.alexnet, 1.0),
        ("googlenet", stages.googlenet, 1.0),
        ("inception_v3", stages.inception_v3_torch, 1.0),
        *((f"vgg{n}", stages.vgg_torch, 1.0) for n in (11, 13, 16, 19)),
        *((f"vgg{n}_bn", stages.vgg_torch, 1.0) for n in (11, 13, 16, 19)),
        *((f"resnet{n}", stages.resnet_torch, 0.5) for n in (18, 34, 50, 101, 152)),
        *((f"resnext{n}", stages.resnet_torch, 0.5) for n in ("50_32x4d", "101_32x8d")),
        *((f"densenet{n}", stages.densenet_torch, 1.0) for n in (121, 169, 201)),
        *((f"squeezenet1_{n}", stages.squeezenet, 1.0) for n in (0, 1)),
        ("mobilenet_v2", stages.mobilenet_v2_torch, 0.7),
    ]
    doubles = {"alexnet", "googlenet", "inception_v3", "vgg11", "vgg11_bn", "resnet18", "resnet50",
               "resnext50_32x4d", "densenet121", "squeezenet1_1", "mobilenet_v2"}  # fmt: skip
    return [
        Case(name, "torchvision", name, "torch", stages, gain=gain, double=name in doubles)
        for name, stages, gain in networks
    ]


def timm() -> list[Case]:
    networks: list[tuple[str, str, Stages, float]] = [
        ("inception_v3", "inception_v3", stages.inception_v3_torch, 1.0),
        ("inception_resnet_v2", "inception_resnet_v2", stages.inception_resnet_v2_timm, 1.0),
        *((f"resnet{n}_v2", f"resnetv2_{n}", stages.resnet_v2_timm, 0.5) for n in (50, 101, 152)),
        ("xception", "legacy_xception", stages.xception_timm, 0.6),
        ("vgg11", "vgg11", stages.vgg_torch, 1.0),
        ("vgg11_bn", "vgg11_bn", stages.vgg_torch, 1.0),
        ("mobilenet_v1", "mobilenetv1_100", stages.mobilenet_v1_timm, 1.0),
        ("mobilenet_v2", "mobilenetv2_100", stages.mobilenet_v2_timm, 0.7),
        ("nasnet_large", "nasnetalarge", stages.nasnet_timm, 0.7),
    ]
    doubles = {"inception_resnet_v2", "resnet50_v2", "xception", "mobilenet_v1", "nasnet_large"}
    return [
        Case(name, "timm", oracle, "timm", stages, gain=gain, double=name in doubles)
        for name, oracle, stages, gain in networks
    ]


def written() -> list[Case]:
    digits = partial(Case, stages=stages.nothing, sides=(28, 31), channels=1, flattens=True)
    small = partial(Case, stages=stages.nothing, sides=(32, 33))
    return [
        *(
            digits(name, "keras", name, "")
            for name in ("lenet5", "first_convnet", "mnist_cnn", "one_block_cnn")
        ),
        digits(
            "lenet5",
            "torch",
            "lenet5",
            "",
            double=True,
            told=(("act", "tanh"), ("pool", "average")),
        ),
        small("resnet20", "keras", "resnet20", "keras", gain=0.5),
        *(
            small(f"resnet{n}", "torch", f"resnet{n}", "torch", gain=0.5, double=n == 20)
            for n in (20, 32, 44, 56, 110)
        ),
        small("alexnet_lite", "torch", "alexnet_lite", "paper", flattens=True),
        Case(
            "alexnet",
            "torch",
            "alexnet",
            "paper",
            stages.nothing,
            (228, 227),
            flattens=True,
            double=True,
        ),
        Case("googlenet", "torch", "googlenet", "paper", stages.googlenet, double=True),
    ]


ORACLES = [*keras(), *torchvision(), *timm(), *written()]
