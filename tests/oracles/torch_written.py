"""Networks that torchvision and timm do not ship, written down in torch.nn."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """Of the ResNets for CIFAR (He et al. 2015, section 4.2), with option A."""

    def __init__(self, channels: int, features: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, features, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(features)
        self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(features)
        self.stride, self.extra = stride, (features - channels) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        x = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(x, (0, 0, 0, 0, self.extra, self.extra)))


class CifarResNet(nn.Module):
    """Named as in github.com/akamaster/pytorch_resnet_cifar10."""

    def __init__(self, blocks: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(Block(16, 16, 1) for _ in range(blocks)))
        more = (Block(32, 32, 1) for _ in range(blocks - 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2), *more)
        more = (Block(64, 64, 1) for _ in range(blocks - 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), *more)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


def lenet5() -> nn.Module:
    """LeCun et al. 1998 with every map of S2 under every map of C3."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, 1, 2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(16 * 5 * 5, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(),
        nn.Linear(84, 10),
    )  # fmt: skip


def response_norm() -> nn.Module:
    """k, alpha, beta of Krizhevsky et al. 2012; torch divides alpha by the 5 channels."""
    return nn.LocalResponseNorm(5, 5 * 1e-4, 0.75, 2.0)


def alexnet() -> nn.Module:
    """Krizhevsky et al. 2012: two towers, response normalisation."""
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4), nn.ReLU(), response_norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, 1, 2, groups=2), nn.ReLU(), response_norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(384, 384, 3, 1, 1, groups=2), nn.ReLU(),
        nn.Conv2d(384, 256, 3, 1, 1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Flatten(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(),
        nn.Linear(4096, 1000),
    )  # fmt: skip


def alexnet_lite() -> nn.Module:
    """One tower of half the maps, for images of 32 pixels."""
    return nn.Sequential(
        nn.Conv2d(3, 48, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(48, 128, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(128, 192, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(192, 192, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(192, 128, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Flatten(), nn.Linear(128 * 3 * 3, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
        nn.Linear(512, 10),
    )  # fmt: skip


class Plain(nn.Module):
    """A biased convolution with ReLU, in the place of torchvision's normalised one."""

    def __init__(self, channels: int, features: int, **options: Any):
        super().__init__()
        self.conv = nn.Conv2d(channels, features, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv(x))


def googlenet() -> nn.Module:
    """Szegedy et al. 2014, from torchvision's parts: 5x5 for its 3x3, 3x3 pools, no batch norm."""
    from torchvision.models.googlenet import GoogLeNet, Inception

    def inception(c: int, c1: int, r3: int, c3: int, r5: int, c5: int, p: int, **_: Any) -> Any:
        module = Inception(c, c1, r3, c3, r5, c5, p, conv_block=Plain)
        module.branch3[1] = Plain(r5, c5, kernel_size=5, padding=2)
        return module

    model = GoogLeNet(aux_logits=False, init_weights=False, blocks=[Plain, inception, None])
    model.maxpool1 = nn.Sequential(model.maxpool1, response_norm())
    model.maxpool2 = nn.Sequential(response_norm(), model.maxpool2)
    model.maxpool4 = nn.MaxPool2d(3, 2, ceil_mode=True)
    return model


NETWORKS = {f.__name__: f for f in (alexnet, alexnet_lite, googlenet, lenet5)} | {
    f"resnet{6 * n + 2}": lambda n=n: CifarResNet(n) for n in (3, 5, 7, 9, 18)
}
