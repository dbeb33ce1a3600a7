"""The networks in torch.nn, as somebody writes them who uses PyTorch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def lenet5() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def first_convnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def mnist_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Dropout(0.25), nn.Flatten(),
        nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
    )  # fmt: skip


class Unit(nn.Sequential):
    """A convolution and its normalisation."""

    def __init__(self, channels: int, features: int, kernel: int, stride: int = 1):
        super().__init__(
            nn.Conv2d(channels, features, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(features),
        )


class Basic(nn.Module):
    """He et al. 2015, section 4.2: option A pads the shortcut with channels of zeros."""

    def __init__(self, channels: int, features: int, stride: int):
        super().__init__()
        self.first = Unit(channels, features, 3, stride)
        self.second = Unit(features, features, 3)
        self.stride, self.extra = stride, features - channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(F.relu(self.first(x), inplace=True))
        if self.extra:
            half = self.extra // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
        return F.relu(y + x, inplace=True)


class Bottleneck(nn.Module):
    """He et al. 2015, figure 5, right, with the stride on the 3x3."""

    def __init__(self, channels: int, inner: int, stride: int):
        super().__init__()
        self.first, self.second = Unit(channels, inner, 1), Unit(inner, inner, 3, stride)
        self.third = Unit(inner, 4 * inner, 1)
        same = channels == 4 * inner and stride == 1
        self.shortcut = nn.Identity() if same else Unit(channels, 4 * inner, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.first(x), inplace=True)
        y = F.relu(self.second(y), inplace=True)
        return F.relu(self.third(y) + self.shortcut(x), inplace=True)


def resnet20() -> nn.Module:
    layers, channels = [Unit(3, 16, 3), nn.ReLU(inplace=True)], 16
    for features in (16, 32, 64):
        for _ in range(3):
            layers.append(Basic(channels, features, 1 if channels == features else 2))
            channels = features
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def resnet50() -> nn.Module:
    layers, channels = [Unit(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)], 64
    for stage, count in enumerate((3, 4, 6, 3)):
        for block in range(count):
            stride = 2 if stage and not block else 1
            layers.append(Bottleneck(channels, 64 * 2**stage, stride))
            channels = 256 * 2**stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


NETWORKS = {
    f.__name__: f for f in (lenet5, first_convnet, mnist_cnn, resnet20, resnet50)
}  # fmt: skip
