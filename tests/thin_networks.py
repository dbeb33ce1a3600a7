"""Every skeleton with few and narrow blocks: the code of the full network, cheap to compile."""

from __future__ import annotations

import jax
import numpy as np

from cnnjax import models, tree

# label -> (name, pixels per side, channels, fields)
THIN = {
    "airbench": ("airbench", 32, 3, {"features": (8, 8, 8)}),
    "alexnet": ("alexnet", 67, 3, {"features": (8, 8, 8, 8, 8), "units": (16, 16)}),
    "densenet": ("densenet121", 33, 3, {"blocks": (1, 2, 1, 1), "growth": 4, "width": 8}),
    "first_convnet": ("first_convnet", 18, 1, {}),
    "googlenet": (
        "googlenet",
        33,
        3,
        {"stages": (((8, 16, 16, 16, 16, 8),),) * 3},
    ),
    "inception_resnet_v2": ("inception_resnet_v2", 75, 3, {"blocks": (1, 1, 2)}),
    "inception_v3": ("inception_v3", 75, 3, {}),
    "lenet5": ("lenet5", 28, 1, {}),
    "mnist_cnn": ("mnist_cnn", 12, 1, {"blocks": ((4, 8),), "units": (16,)}),
    "mobilenet_v1": (
        "mobilenet_v1",
        33,
        3,
        {"width": 0.25, "rows": ((64, 1, 1), (128, 2, 2))},
    ),
    "mobilenet_v2": (
        "mobilenet_v2",
        33,
        3,
        {"width": 0.25, "rows": ((1, 32, 1, 1), (6, 64, 2, 2))},
    ),
    "nasnet": ("nasnet_mobile", 33, 3, {"blocks": 1, "features": 192, "stem": 8}),
    "resnet": ("resnet50", 33, 3, {"blocks": (1, 2, 1), "width": 8, "group_width": 8}),
    "resnet keras": (
        "resnet50",
        33,
        3,
        {"dialect": "keras", "blocks": (1, 2), "width": 8, "group_width": 8},
    ),
    "resnet basic": ("resnet18", 33, 3, {"blocks": (1, 2), "width": 8}),
    "resnext": (
        "resnext50_32x4d",
        33,
        3,
        {"blocks": (1, 2), "width": 8, "groups": 4, "group_width": 2},
    ),
    "resnet_cifar A": ("resnet20", 17, 3, {"blocks": 1, "width": 8}),
    "resnet_cifar B": ("resnet20", 17, 3, {"blocks": 1, "width": 8, "shortcut": "B"}),
    "resnet_v2": ("resnet50_v2", 33, 3, {"blocks": (2, 2), "width": 8}),
    "resnet_v2 timm": ("resnet50_v2", 33, 3, {"dialect": "timm", "blocks": (2, 2), "width": 8}),
    "squeezenet": (
        "squeezenet1_1",
        33,
        3,
        {"stages": (((4, 8, 8),), ((4, 8, 8), (4, 8, 8)), ((4, 8, 8),))},
    ),
    "vgg": ("vgg11", 32, 3, {"features": (4, 8, 8, 8, 8), "units": (16, 16)}),
    "vgg_bn": ("vgg11_bn", 32, 3, {"features": (4, 8, 8, 8, 8), "units": (16, 16)}),
    "xception": (
        "xception",
        33,
        3,
        {"entry": (8, 8, 16), "middle": (16, 1), "exit": ((16, 16), (16, 16))},
    ),
}
CLASSES = 5


def module(label, **fields):
    name, _, _, thin = THIN[label]
    return models.build(name, CLASSES, **thin | fields)


def images(label, count=4):
    _, side, channels, _ = THIN[label]
    generator = np.random.default_rng(0)
    return generator.standard_normal((count, side, side, channels), dtype=np.float32)


def variables(module, images):
    """Returns initial weights drawn by numpy, and statistics as of some training."""
    return drawn(tree.shapes(models.check_input(module, images.shape[1:])))


def drawn(shapes):
    generator = np.random.default_rng(1)
    leaves = {}
    for name, shape in shapes.items():
        values = generator.standard_normal(shape, dtype=np.float32)
        kind = name.rsplit("/", 1)[1]
        scale = np.sqrt(2 / np.prod(shape[:-1])) if kind == "kernel" else 0.1
        leaves[name] = (values * scale + (kind in ("scale", "var"))).astype(np.float32)
    return tree.unflatten(leaves)


def rngs():
    return {"dropout": jax.random.key(0)}
