"""What is known of weights by the source that their names tell."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from cnnjax.images import description, presets
from cnnjax.images.description import Description
from cnnjax.images.preprocessing import Preprocessing
from cnnjax.transfer import graph_layers, keras_table
from cnnjax.transfer.graph import Graph, Plan
from cnnjax.transfer.match import Match

SIDES = {"inception_v3": 299, "inception_resnet_v2": 299, "xception": 299, "nasnet_large": 331}
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
ANY = (0, 0)  # images as they are
CIFAR = (32, 32)
# A network that multiplies its input by less, or subtracts more, takes pixels up to 255, not to 1.
LARGE_STEP, LARGEST_MEAN = 0.1, 2.0

# Besides the presets of images.presets. `torchvision_inception`: its GoogLeNet and Inception v3 are
# given pixels as its other networks are, and turn them into (pixels - 0.5) / 0.5 themselves
# (`transform_input`); our networks take the latter. `akamaster`: trainer.py of
# github.com/akamaster/pytorch_resnet_cifar10. `cifar`: main.py of
# github.com/kuangliu/pytorch-cifar.
KNOWN = {
    "torchvision_inception": dataclasses.replace(
        presets.PRESETS["timm_inception"], interpolation="bilinear"
    ),
    "akamaster": Preprocessing(size=CIFAR, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD),
    "cifar": Preprocessing(size=CIFAR, mean=CIFAR_MEAN, std=CIFAR_STD),
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


def rebuilt(path: str | os.PathLike, module: Graph, variables: Mapping[str, Any]) -> Description:
    """Returns what travels with a network that its file describes."""
    plan = module.plan
    scale, why = scaling(plan, variables.get("batch_stats", {}))
    size, channels = image_of(plan)
    return Description(
        preprocessing=Preprocessing(size=size, channels=channels, scale=scale),
        outputs="probabilities" if module.probabilities else "logits",
        source=Path(path).name,
        digest=description.digest(path),
        assumed=(why,),
    )


def image_of(plan: Plan) -> tuple[tuple[int, int], int]:
    """Returns (height, width) and channels of the first input; `ANY` where it takes any size."""
    shape: tuple[int | None, ...] = plan.shapes[0] if plan.shapes else ()
    if len(shape) == 3:
        shape = (*shape[1:], shape[0]) if channels_first(shape) else shape
    elif len(shape) == 2:  # a plane, whose first layer flattens it
        shape = (*shape, 1)
    elif len(shape) == 1 and shape[0]:
        side = math.isqrt(shape[0])
        shape = (side, side, 1) if side * side == shape[0] else ()
    height, width, channels = shape if len(shape) == 3 else (None, None, 3)
    size = (height, width) if height and width else ANY
    return size, channels or 3


def channels_first(shape: Sequence[int | None]) -> bool:
    """Returns whether three numbers are channels, height and width, in this order."""
    return shape[0] in (1, 3) and shape[-1] not in (1, 3, 4)


def scaling(plan: Plan, statistics: Mapping[str, Any]) -> tuple[float, str]:
    """Returns what pixels in [0, 255] are multiplied by for a graph, and how that is known.

    A network that scales its input itself takes pixels as they are, if it makes them small.
    """
    last = {value.call for value in plan.outputs}
    for i, call in enumerate(plan.calls):
        layer = call.layer
        if layer is None:
            continue
        if isinstance(layer, Plan):
            return scaling(layer, statistics.get(call.name, {}))
        fields, step = dict(layer.fields), None
        if layer.function is graph_layers.rescaling:
            step = float(np.max(np.abs(fields["scale"])))
        elif layer.function is keras_table.operation and fields["function"] is jnp.divide:
            by = [value for value in call.inputs if isinstance(value, int | float)]
            step = 1 / by[0] if by and by[0] else None
        elif layer.function is graph_layers.standardisation:
            adapted = statistics.get(call.name, {}).get("mean")
            mean = fields["fixed"][0] if fields["fixed"] else adapted
            step = 1 / 255 if np.max(np.abs(np.asarray(mean))) > LARGEST_MEAN else 1.0
        if step is not None:
            taken = (
                (1.0, "pixels from 0 to 255") if step < LARGE_STEP else (1 / 255, "pixels / 255")
            )
            return taken[0], f"{taken[1]}, which its own {call.kind} takes"
        if layer.leaves or i in last:
            break
    return 1 / 255, "pixels / 255"


def preprocessing(name: str, match: Match) -> tuple[Preprocessing, tuple[str, ...]]:
    """Returns the preprocessing of the source, and what is not certain about it."""
    known = match.rule.preprocessing
    height, width, channels = match.input_shape
    if known in KNOWN and KNOWN[known].size == CIFAR:
        return KNOWN[known], (f"images of 32x32 pixels, prepared as by {known}",)
    if known:
        side = SIDES.get(name, 224)
        table = {**presets.PRESETS, **KNOWN}
        return (
            dataclasses.replace(table[known], size=(side, side)),
            (f"images of {side}x{side} pixels, prepared as by {known}",),
        )
    record = Preprocessing(size=(height, width) if match.rule.flattens else ANY, channels=channels)
    return record, ("pixels / 255",)
