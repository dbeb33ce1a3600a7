"""Which known network a file of PyTorch or of our own is, when nobody says."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from cnnjax import models, tree
from cnnjax.errors import InputError
from cnnjax.transfer import choose, torch_names
from cnnjax.transfer.match import Match, Tensors
from cnnjax.transfer.rules import Rule, in_order

PROBES = ("stem/conv", "stem", "stem/conv1/conv", "conv1/conv", "stage1_block1/conv1/conv",
          "stage1_block1/conv1", "stage1_block1/depthwise/conv")  # fmt: skip
# Names that count blocks by stage: a look at the last one spares tracing the deeper networks.
COUNTED = (torch_names.resnet, torch_names.resnet_cifar, torch_names.resnet_v2)
SHOWN = 3

# (name, rule) -> the best match for any image size
Attempt = Callable[[str, Rule], Match]


def possible(rule: Rule, network: Any, tensors: Tensors) -> bool:
    """Returns whether the names of a file are of the rule's kind; computes and traces nothing."""
    if rule.names is in_order:
        return False

    def holds(path: str) -> bool:
        name = f"{rule.name(path, network)}.weight"
        return any(t == name or t.endswith(f".{name}") for t in tensors)

    if rule.names in COUNTED:
        unit = "conv1" if rule.names is torch_names.resnet_v2 else "conv1/conv"
        counts = (network.blocks,) * 3 if isinstance(network.blocks, int) else network.blocks
        for stage, count in enumerate(counts, 1):
            last, beyond = (f"stage{stage}_block{n}/{unit}" for n in (count, count + 1))
            if not holds(last) or holds(beyond):
                return False
    return any(holds(path) for path in PROBES if rule.name(path, network) != path)


def network(
    path: str | os.PathLike,
    tensors: Tensors,
    rules: Callable[[str], list[Rule]],
    attempt: Attempt,
) -> str:
    """Returns the name of the one network that a file fits.

    Raises InputError with the calls of all that it fits, where those are several functions; with
    the nearest ones and how much of them differs, where it fits none.
    """
    if calls := choose.several(path, tensors):
        raise InputError(
            f"{path} holds tensors without a graph, which fit several functions. What is known of "
            f"them stands in these calls; choose one, or give other fields:\n{calls}"
        )
    near: list[tuple[int, str, Match]] = []
    for name, rule in [(known, rule) for known in models.MODELS for rule in rules(known)]:
        if not possible(rule, models.build(name, dialect=rule.dialect), tensors):
            continue
        try:
            match = attempt(name, rule)
        except InputError:
            continue
        faults = tree.faults(match.wanted, match.found)
        if not faults:
            return name
        near.append((faults, name, match))
    near = sorted(near, key=lambda one: one[0])[:SHOWN]
    if not near or near[0][0] > len(tensors):
        known = sorted({name for name in models.MODELS if rules(name)})
        raise InputError(f"{path} is near no known network; those that are known: "
                         f"{', '.join(known)}")  # fmt: skip
    lines = [
        f"  {choose.call(name, path, {})}  # {count} tensors differ" for count, name, _ in near
    ]
    raise InputError(
        f"{path} fits no known network. The nearest:\n" + "\n".join(lines)
        + f"\nto {near[0][1]}:\n{near[0][2].difference()}"
    )  # fmt: skip
