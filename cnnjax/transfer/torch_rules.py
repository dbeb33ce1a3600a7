"""Which names, fields and preprocessing the sources of torch files have, family by family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnjax.transfer import torch_names
from cnnjax.transfer.rules import Rule, in_order


def stem_features(tensors: Mapping[str, Any]) -> int:
    """Returns the filters of the first convolution; 0 where there is none."""
    return next((t.shape[0] for t in tensors.values() if t.ndim == 4), 0)


def mobilenet_width(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {"width": stem_features(tensors) / 32}


def resnet_stem(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the stem's kernel, where it is not ImageNet's; what follows it is not told."""
    stem = next((t for n, t in tensors.items() if n.endswith("conv1.weight") and t.ndim == 4), None)
    return {} if stem is None or stem.shape[2] == 7 else {"stem_kernel": stem.shape[2]}


CIFAR_STEM = (("stem_kernel", 3), ("stem_stride", 1), ("stem_pool", False))
# The fields of the mobilenet of kuangliu/pytorch-cifar, for images of 32 pixels.
CIFAR_MOBILENET = (("act", "relu"), ("stem_stride", 1))
OLD_DENSENET = (r"\.(norm|conv)\.(\d)\.", r".\1\2.")
RULES = {
    "alexnet": [
        Rule("torch", "torch", torch_names.alexnet, flattens="fc1", preprocessing="torchvision"),
        Rule("torch", "paper", in_order, flattens="fc1"),
    ],
    "densenet": [
        Rule("torch", d, torch_names.densenet, renamed=OLD_DENSENET, preprocessing=p)
        for d, p in (("torch", "torchvision"), ("timm", "timm"))
    ],
    "googlenet": [
        Rule("torch", d, torch_names.googlenet, flattens=r"aux\d/fc", ignored=r"aux[12]\..*",
             preprocessing="torchvision_inception")
        for d in ("torch", "paper")
    ],
    "inception_resnet_v2": [
        Rule("torch", "timm", torch_names.inception_resnet_v2, preprocessing="timm_inception")
    ],
    "inception_v3": [
        Rule("torch", d, torch_names.inception_v3, ignored=r"AuxLogits\..*", preprocessing=p)
        for d, p in (("torch", "torchvision_inception"), ("timm", "timm_inception"))
    ],
    "lenet": [Rule("torch", None, in_order, flattens=".*", doubtful=("act", "pool"))],
    "mobilenet": [
        Rule("torch", "timm", torch_names.mobilenet_v1, inferred=mobilenet_width,
             preprocessing="timm"),
        Rule("torch", "timm", torch_names.mobilenet_kuangliu, inferred=mobilenet_width,
             fields=CIFAR_MOBILENET, preprocessing="cifar"),
    ],
    "mobilenet_v2": [
        Rule("torch", "torch", torch_names.mobilenet_v2, preprocessing="torchvision"),
        Rule("torch", "timm", torch_names.mobilenet_v2_timm, preprocessing="timm"),
    ],
    "nasnet": [Rule("torch", "timm", torch_names.nasnet, preprocessing="timm_inception")],
    "resnet": [
        *(Rule("torch", d, torch_names.resnet, inferred=resnet_stem, preprocessing=p)
          for d, p in (("torch", "torchvision"), ("timm", "timm"))),
        Rule("torch", "torch", torch_names.resnet_cifar, fields=CIFAR_STEM, preprocessing="cifar"),
    ],
    "resnet_cifar": [Rule("torch", "torch", torch_names.resnet_cifar, preprocessing="akamaster")],
    "resnet_v2": [Rule("torch", "timm", torch_names.resnet_v2, preprocessing="timm_inception")],
    "squeezenet": [Rule("torch", "torch", torch_names.squeezenet, preprocessing="torchvision")],
    "tutorial": [Rule("torch", None, in_order, flattens=".*", assumed=("act", "pool"))],
    "vgg": [
        Rule("torch", "torch", torch_names.vgg, flattens="fc1", preprocessing="torchvision"),
        Rule("torch", "timm", torch_names.vgg_timm, preprocessing="timm"),
    ],
    "xception": [Rule("torch", "timm", torch_names.xception, preprocessing="timm_inception")],
}  # fmt: skip
