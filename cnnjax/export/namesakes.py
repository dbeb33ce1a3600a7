"""Which networks of ours other frameworks have, and what ours must be to be the same function."""

from __future__ import annotations

import dataclasses
from typing import Any

from flax import linen as nn

from cnnjax import models
from cnnjax.errors import InputError
from cnnjax.evaluation.trained import Trained
from cnnjax.transfer import match
from cnnjax.transfer.load import rules_for
from cnnjax.transfer.rules import Rule, in_order

# name -> class in keras.applications
KERAS = {
    "densenet121": "DenseNet121", "densenet169": "DenseNet169", "densenet201": "DenseNet201",
    "inception_resnet_v2": "InceptionResNetV2", "inception_v3": "InceptionV3",
    "mobilenet_v1": "MobileNet", "mobilenet_v2": "MobileNetV2", "nasnet_large": "NASNetLarge",
    "nasnet_mobile": "NASNetMobile", "resnet50": "ResNet50", "resnet101": "ResNet101",
    "resnet152": "ResNet152", "resnet50_v2": "ResNet50V2", "resnet101_v2": "ResNet101V2",
    "resnet152_v2": "ResNet152V2", "vgg16": "VGG16", "vgg19": "VGG19", "xception": "Xception",
}  # fmt: skip
# Of the dialect "timm", under another name than ours.
TIMM = {
    "mobilenet_v1": "mobilenetv1_100", "mobilenet_v2": "mobilenetv2_100",
    "nasnet_large": "nasnetalarge", "resnet50_v2": "resnetv2_50", "resnet101_v2": "resnetv2_101",
    "resnet152_v2": "resnetv2_152", "xception": "legacy_xception",
}  # fmt: skip
# Dense layers that timm holds as convolutions of 1x1.
CONVOLVED = {f"resnet{depth}_v2": "head.fc.weight" for depth in (50, 101, 152)}
# What training alone knows.
TRAINING = ("dtype", "kernel_init", "momentum", *models.HIDDEN)


def rule_of(network: Trained, framework: str, instead: str) -> Rule:
    """Returns the rule by whose names a framework holds the very function that a network is.

    Raises InputError where it has no network of the name, or another function under it: then with
    the fields that differ.
    """
    name = network.network.get("name")
    if name is None:
        raise InputError(
            f"{network.source} is a network of its own, without a name in {framework}: {instead}"
        )
    rules = [rule for rule in rules_for(name, framework, None) if named(rule, name)]
    if not rules:
        having = sorted(
            other for other in models.MODELS
            if any(named(rule, other) for rule in rules_for(other, framework, None))
        )  # fmt: skip
        raise InputError(
            f"{framework} has no {name} whose names are known: {instead}. Those that it has: "
            f"{', '.join(having)}"
        )
    apart = [difference(network.module, name, rule) for rule in rules]
    for rule, fields in zip(rules, apart, strict=True):
        if not fields:
            return rule
    fewest = min(apart, key=len)
    rule = rules[apart.index(fewest)]
    said = ", ".join(f"{field} is {a!r} here, {b!r} there" for field, (a, b) in fewest.items())
    raise InputError(
        f"{name} of {framework} ({rule.dialect}) is another function: {said}. Train with "
        f"--config.model.dialect={rule.dialect} for that one; for this: {instead}"
    )


def named(rule: Rule, name: str) -> bool:
    """Whether a rule names layers of a network that somebody ships under its name."""
    if rule.framework == "keras":
        return name in KERAS or (rule.names is in_order and rule.dialect is None)
    return rule.names is not in_order


def difference(module: nn.Module, name: str, rule: Rule) -> dict[str, tuple[Any, Any]]:
    """Returns field -> (ours, theirs) where a module is not what a source calls by the name."""
    if rule.names is in_order:
        return {}
    theirs = models.build(name, dialect=rule.dialect, **dict(rule.fields))
    # Keras' constructors of MobileNets take a width, as alpha.
    free = (*TRAINING, "width") if rule.framework == "keras" else TRAINING
    return {
        field.name: (getattr(module, field.name), getattr(theirs, field.name))
        for field in dataclasses.fields(theirs)
        if field.name not in free and not field.name.endswith("dropout_rate")
        and getattr(module, field.name) != getattr(theirs, field.name)
    }  # fmt: skip


def sources(network: Trained, rule: Rule) -> tuple[match.Outline, dict[str, str]]:
    """Returns the network's outline, and leaf of ours -> name of its tensor there."""
    plan = match.outline(network.module, network.shape)
    return plan, match.correspondence(plan, rule, {})
