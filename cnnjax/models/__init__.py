"""Networks by name.

A network is one file with a module and a `MODELS` table in it, and one word in `FAMILIES`. Where
sources disagree on what a name computes, the file's `DIALECTS` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import fields as checks
from cnnjax.errors import InputError
from cnnjax.models import (
    airbench,
    alexnet,
    backbones,
    densenet,
    fcos,
    googlenet,
    inception_resnet_v2,
    inception_v3,
    lenet,
    mobilenet,
    mobilenet_v2,
    nasnet,
    resnet,
    resnet_cifar,
    resnet_v2,
    squeezenet,
    tutorial,
    unet,
    unet_backbone,
    vgg,
    xception,
)
from cnnjax.registry import Table

FAMILIES = (
    airbench,
    alexnet,
    densenet,
    googlenet,
    inception_resnet_v2,
    inception_v3,
    lenet,
    mobilenet,
    mobilenet_v2,
    nasnet,
    resnet,
    resnet_cifar,
    resnet_v2,
    squeezenet,
    tutorial,
    vgg,
    xception,
)
# What classifies no image as a whole, and is no backbone.
BEYOND = (fcos, unet, unet_backbone)
EVERY = (*FAMILIES, *BEYOND)
MODELS: Table[Callable[..., nn.Module]] = Table("network", *(f.MODELS for f in EVERY))
# name -> dialect -> the fields that turn the default into what a source ("keras", "torch" for
# torchvision, "timm", "paper") calls by that name.
DIALECTS: Table[Mapping[str, Mapping[str, Any]]] = Table(
    "network", {name: getattr(f, "DIALECTS", {}) for f in EVERY for name in f.MODELS}
)
HIDDEN = ("classes", "parent", "name", "axis_name")
# Pixels per side that every network takes.
LARGE = 512


def build(
    name: str,
    classes: int = 1000,
    dialect: str | None = None,
    axis_name: str | None = None,
    **fields: Any,
) -> nn.Module:
    """Returns the network `name` as a module with `classes` outputs.

    `dialect` names a source in `DIALECTS[name]` whose function the network computes; `fields`
    override its fields and the constructor's defaults; lists become tuples. `axis_name` is the
    mapped axis over which a batch is split, for statistics and dropout. Where a network stands over
    another, its `backbone`, the fields of that are given as `backbone_width`. An unknown name,
    dialect or field, or a value of another type than the field's default, raises `InputError`.
    """
    constructor = MODELS[name]
    if dialect is not None:
        spoken = DIALECTS[name]
        if dialect not in spoken:
            known = ", ".join(sorted(spoken)) or "none"
            raise InputError(f"{name} has no dialect {dialect!r}; it has {known}")
        fields = dict(spoken[dialect]) | fields
    known = checks.defaults(constructor, HIDDEN)
    if backbones.NAME in known:
        fields = backbones.gathered(known, fields)
    fields = checks.checked(name, fields, known)
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise InputError(f"classes must be an integer of at least 1, not {classes!r}")
    # Without a parent, so that a module which builds another one says itself where it belongs.
    return constructor(classes=classes, axis_name=axis_name, parent=None, **fields)


def check_input(module: nn.Module, shape: Sequence[int]) -> dict[str, Any]:
    """Returns the shapes of the variables for images of `shape` (height, width, channels).

    Nothing is computed. Raises InputError where the images are too small for the network's windows
    and strides, and names the smallest square ones that are not.
    """
    if len(shape) != 3 or any(n < 1 for n in shape):
        raise InputError(f"images are (height, width, channels) of at least 1, not {tuple(shape)}")
    try:
        return variable_shapes(module, shape)
    except InputError:
        height, width, channels = shape
        small, large = min(height, width), LARGE
        if small >= large:
            raise
        # What a large image does not cure is not a matter of size, and raises its own error here.
        variable_shapes(module, (large, large, channels))
    while large - small > 1:
        middle = (small + large) // 2
        try:
            variable_shapes(module, (middle, middle, channels))
            large = middle
        except InputError:
            small = middle
    raise InputError(
        f"{height}x{width} images are too small for this network; the smallest are {large}x{large}"
    )


def variable_shapes(module: nn.Module, shape: Sequence[int]) -> dict[str, Any]:
    """Returns the variables for images of `shape` as shapes and dtypes, without computing them."""
    images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    return jax.eval_shape(partial(module.init, train=False), jax.random.key(0), images)
