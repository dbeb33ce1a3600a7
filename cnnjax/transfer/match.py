"""How far the tensors of a file fill a network."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import models, tree
from cnnjax.transfer import keras, torch
from cnnjax.transfer.rules import Rule

Tensors = dict[str, np.ndarray]
FRAMEWORKS: dict[str, ModuleType] = {"keras": keras, "torch": torch}
CLASSES, CHANNELS = 1000, 3  # where the file does not tell


@dataclasses.dataclass(frozen=True)
class Outline:
    """A network's leaves, and the modules that own them in the order of their calls."""

    network: nn.Module
    shapes: dict[str, tree.Shape]
    modules: dict[str, list[str]]  # path -> leaves, in the order of keras.LEAVES


def outline(network: nn.Module, input_shape: Sequence[int]) -> Outline:
    """Traces the network; nothing is computed or allocated."""
    called: dict[str, None] = {}

    def note(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        called["/".join(context.module.path)] = None
        return call(*args, **kwargs)

    def variables() -> Any:
        with nn.intercept_methods(note):
            return network.init(jax.random.key(0), jnp.zeros((1, *input_shape)), train=False)

    shapes = tree.shapes(jax.eval_shape(variables))
    names = {
        path: [f"{c}/{path}/{leaf}" for leaf in keras.LEAVES for c in ("params", "batch_stats")]
        for path in called
    }
    owned = {path: [n for n in leaves if n in shapes] for path, leaves in names.items()}
    assert sum(map(len, owned.values())) == len(shapes), "a leaf of an unknown kind"
    return Outline(network, shapes, {path: leaves for path, leaves in owned.items() if leaves})


@dataclasses.dataclass(frozen=True)
class Match:
    """A network and what of it a file, whose names follow `rule`, holds.

    Attributes:
      sources: leaf of ours -> name of its tensor, whether or not that exists.
      arrays: leaf -> array in our layout, whatever its shape.
      fresh: leaves that are to be initialised instead.
      left_over: name -> shape of the tensors that nothing asks for.
    """

    rule: Rule
    network: nn.Module
    input_shape: tuple[int, ...]
    shapes: dict[str, tree.Shape]
    sources: dict[str, str]
    arrays: Tensors
    fresh: list[str]
    left_over: dict[str, tree.Shape]

    @property
    def wanted(self) -> dict[str, tree.Shape]:
        return {leaf: self.shapes[leaf] for leaf in self.sources if leaf not in self.fresh}

    @property
    def found(self) -> dict[str, tree.Shape]:
        return {leaf: array.shape for leaf, array in self.arrays.items()} | self.left_over


def matched(
    name: str,
    classes: int | None,
    rule: Rule,
    side: tuple[int, int, int | None],
    fields: dict[str, Any],
    tensors: Tensors,
) -> Match:
    """Builds the network for the file's classes and channels, and looks for all of its leaves.

    `side` is (height, width, channels) of the images; None for the channels of the file.
    """
    tensors = {re.sub(*rule.renamed, tensor): array for tensor, array in tensors.items()}
    height, width, channels = side
    plan = outline(
        models.build(name, CLASSES, rule.dialect, **fields), (height, width, channels or CHANNELS)
    )
    sources = correspondence(plan, rule, tensors)
    into, out = FRAMEWORKS[rule.framework].AXES
    filed = features(plan, sources, tensors, head_of(plan), out) or CLASSES
    channels = channels or features(plan, sources, tensors, next(iter(plan.modules)), into)
    shape = (height, width, channels or CHANNELS)
    plan = outline(models.build(name, classes or filed, rule.dialect, **fields), shape)
    sources = correspondence(plan, rule, tensors)
    fresh = []
    if classes not in (None, filed):
        fresh = [leaf for leaf in sources if "head" in leaf.split("/")]
    return filled(plan, rule, sources, tensors, shape, fresh)


def head_of(plan: Outline) -> str:
    return next(path for path in plan.modules if path.split("/")[0] == "head")


def features(
    plan: Outline, sources: dict[str, str], tensors: Tensors, module: str, axis: int
) -> int | None:
    """Returns the size of the `axis` of the module's kernel in the file; None if it has none."""
    kernel = tensors.get(sources[plan.modules[module][0]])
    return None if kernel is None or kernel.ndim < 2 else kernel.shape[axis]


def correspondence(plan: Outline, rule: Rule, tensors: Tensors) -> dict[str, str]:
    """Returns leaf of ours -> name of its tensor."""
    named = {path: rule.name(path, plan.network) for path in plan.modules}
    return FRAMEWORKS[rule.framework].correspondence(named, plan.modules, plan.shapes, tensors)


def filled(
    plan: Outline,
    rule: Rule,
    sources: dict[str, str],
    tensors: Tensors,
    input_shape: tuple[int, ...],
    fresh: list[str],
) -> Match:
    """Brings every tensor that is there into the layout of its leaf."""
    arranged = FRAMEWORKS[rule.framework].arranged
    arrays, before = {}, None  # before: features of the module called before
    for path, leaves in plan.modules.items():
        channels = before if re.fullmatch(rule.flattens, path) else None
        for leaf in leaves:
            if sources[leaf] in tensors and leaf not in fresh:
                arrays[leaf] = arranged(tensors[sources[leaf]], plan.shapes[leaf], channels)
        before = plan.shapes[leaves[0]][-1]
    ignored = f"{rule.ignored}|{torch.IGNORED}"
    used = set(sources.values())
    left_over = {
        name: tensor.shape
        for name, tensor in tensors.items()
        if name not in used and not re.fullmatch(ignored, name)
    }
    network = plan.network
    return Match(rule, network, input_shape, plan.shapes, sources, arrays, fresh, left_over)
