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
from cnnjax.transfer import checkpoint, keras, ours, torch
from cnnjax.transfer.rules import Rule

Tensors = dict[str, np.ndarray]
FRAMEWORKS: dict[str, ModuleType] = {"keras": keras, "ours": ours, "torch": torch}
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
      original: name -> shape of all tensors, as the file has them.
      notes: what was taken for granted, to be said aloud.
    """

    rule: Rule
    network: nn.Module
    input_shape: tuple[int, ...]
    shapes: dict[str, tree.Shape]
    sources: dict[str, str]
    arrays: Tensors
    fresh: list[str]
    left_over: dict[str, tree.Shape]
    original: dict[str, tree.Shape]
    notes: tuple[str, ...] = ()

    @property
    def wanted(self) -> dict[str, tree.Shape]:
        return {leaf: self.shapes[leaf] for leaf in self.sources if leaf not in self.fresh}

    @property
    def found(self) -> dict[str, tree.Shape]:
        return {leaf: array.shape for leaf, array in self.arrays.items()} | self.left_over

    def difference(self) -> str:
        """Returns the table of what does not fit, in the names and shapes of the file."""
        filed = getattr(FRAMEWORKS[self.rule.framework], "filed", None)
        if filed is None:
            return tree.difference(self.wanted, self.found, self.sources)
        wanted, found = self.wanted, dict(self.found)
        for leaf, shape in wanted.items():
            fits = found.get(leaf) == shape
            wanted[leaf] = filed(shape)
            if leaf in found:
                found[leaf] = wanted[leaf] if fits else self.original[self.sources[leaf]]
        return tree.difference(wanted, found, self.sources)


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
    told = rule.inferred(tensors) if rule.inferred else {}
    fields = dict(rule.fields) | told | fields
    tensors = {re.sub(*rule.renamed, tensor): array for tensor, array in tensors.items()}
    height, width, channels = side
    plan = outline(
        models.build(name, CLASSES, rule.dialect, **fields), (height, width, channels or CHANNELS)
    )
    sources = correspondence(plan, rule, tensors)
    notes: list[str] = []
    if rule.framework == "torch" and plan.modules and None not in names_of(plan, rule).values():
        tensors = unwrapped(plan, sources, tensors, notes)
    into, out = FRAMEWORKS[rule.framework].AXES
    filed = features(plan, sources, tensors, head_of(plan), out) or CLASSES
    channels = channels or features(plan, sources, tensors, next(iter(plan.modules)), into)
    shape = (height, width, channels or CHANNELS)
    plan = outline(models.build(name, classes or filed, rule.dialect, **fields), shape)
    sources = correspondence(plan, rule, tensors)
    fresh = []
    headless = sources[plan.modules[head_of(plan)][0]] not in tensors
    if classes is not None and (headless or classes != filed):
        fresh = [leaf for leaf in sources if "head" in leaf.split("/")]
    return filled(plan, rule, sources, tensors, shape, fresh, notes)


def unwrapped(
    plan: Outline, sources: dict[str, str], tensors: Tensors, notes: list[str]
) -> Tensors:
    """Returns the tensors without what a wrapper put before their names, the head by its name.

    Where the head has another name than its source gives it, the one dense layer that is left over
    is taken for it.
    """
    prefix = checkpoint.prefix_of(list(sources.values()), tensors)
    inner = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    outer = {n: t for n, t in tensors.items() if not n.startswith(prefix)}
    head = sources[plan.modules[head_of(plan)][0]].rpartition(".")[0]
    used = set(sources.values())
    if f"{head}.weight" not in inner:
        spare = {n: t for n, t in inner.items() if n not in used} | outer
        dense = [n for n, t in spare.items() if n.endswith(".weight") and t.ndim == 2]
        if len(dense) == 1:
            label = dense[0].rpartition(".")[0]
            notes.append(f"{label} is the head")
            pick = {n: t for n, t in spare.items() if n.rpartition(".")[0] == label}
            inner = {n: t for n, t in inner.items() if n not in pick}
            inner |= {f"{head}.{n.rpartition('.')[2]}": t for n, t in pick.items()}
            outer = {n: t for n, t in outer.items() if n not in pick}
    foreign = [n for n in outer if not re.fullmatch(torch.IGNORED, n)]
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        notes.append(f"left aside, not under {prefix}: {', '.join(foreign[:3])}{more}")
    return inner


def names_of(plan: Outline, rule: Rule) -> dict[str, str | None]:
    return {path: rule.name(path, plan.network) for path in plan.modules}


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
    named = names_of(plan, rule)
    return FRAMEWORKS[rule.framework].correspondence(named, plan.modules, plan.shapes, tensors)


def filled(
    plan: Outline,
    rule: Rule,
    sources: dict[str, str],
    tensors: Tensors,
    input_shape: tuple[int, ...],
    fresh: list[str],
    notes: list[str],
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
    original = {name: tensor.shape for name, tensor in tensors.items()}
    return Match(
        rule,
        plan.network,
        input_shape,
        plan.shapes,
        sources,
        arrays,
        fresh,
        left_over,
        original,
        tuple(notes),
    )
