"""What is known of weights by the source that their names tell."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from cnnjax.images import description, presets
from cnnjax.images.description import Description
from cnnjax.images.preprocessing import Preprocessing
from cnnjax.transfer.match import Match

SIDES = {"inception_v3": 299, "inception_resnet_v2": 299, "xception": 299, "nasnet_large": 331}
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
ANY = (0, 0)  # images as they are

# Besides the presets of images.presets. `torchvision_inception`: its GoogLeNet and Inception v3 are
# given pixels as its other networks are, and turn them into (pixels - 0.5) / 0.5 themselves
# (`transform_input`); our networks take the latter. `akamaster`: trainer.py of
# github.com/akamaster/pytorch_resnet_cifar10. `cifar`: main.py of
# github.com/kuangliu/pytorch-cifar.
KNOWN = {
    "torchvision_inception": dataclasses.replace(
        presets.PRESETS["timm_inception"], interpolation="bilinear"
    ),
    "akamaster": Preprocessing(size=ANY, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD),
    "cifar": Preprocessing(size=ANY, mean=CIFAR_MEAN, std=CIFAR_STD),
}


def described(
    name: str, path: str | os.PathLike, match: Match, notes: tuple[str, ...]
) -> Description:
    """Returns what travels with the weights of a match."""
    record, more = preprocessing(name, match)
    return Description(
        preprocessing=record,
        network=name,
        source=Path(path).name,
        digest=description.digest(path),
        assumed=(*notes, *more),
    )


def rebuilt(path: str | os.PathLike, module: Any) -> Description:
    """Returns what travels with a network that its file describes."""
    return Description(
        preprocessing=Preprocessing(size=ANY),
        outputs="probabilities" if getattr(module, "probabilities", False) else "logits",
        source=Path(path).name,
        digest=description.digest(path),
        assumed=("pixels / 255",),
    )


def preprocessing(name: str, match: Match) -> tuple[Preprocessing, tuple[str, ...]]:
    """Returns the preprocessing of the source, and what is not certain about it."""
    known = match.rule.preprocessing
    height, width, channels = match.input_shape
    if known in KNOWN and KNOWN[known].size == ANY:
        return KNOWN[known], (f"images as {known} prepares them",)
    if known:
        side = SIDES.get(name, 224)
        table = {**presets.PRESETS, **KNOWN}
        return (
            dataclasses.replace(table[known], size=(side, side)),
            (f"images of {side}x{side} pixels, prepared as by {known}",),
        )
    record = Preprocessing(size=(height, width) if match.rule.flattens else ANY, channels=channels)
    return record, ("pixels / 255",)
