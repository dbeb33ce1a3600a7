"""Any network of the articles as a backbone: from images to the maps of its stages.

Detectors and segmenters see what lies between the layers of a classifier. No network has code for
this: it runs as it is, up to its last stage, and the results of some of its modules are noted down.
A backbone's weights are the classifier's, by the same names; those behind the last stage are not
there.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import fields as checks
from cnnjax import models, tree
from cnnjax.errors import InputError
from cnnjax.layers import ACTIVATIONS, BatchNorm, Conv, Dropout

# What a submodule of a detector or segmenter is called, and what its fields begin with.
NAME, PREFIX = "backbone", "backbone_"
# The field of such a network that holds those of its backbone: pairs of name and value.
FIELDS = "backbone_fields"
# What stands between the stages and the classes.
BEHIND = re.compile(r"head|last|(f|fc|dense)\d+")
# Heights and widths that differ by a multiple of every stride up to 64, and of 3, 5 and 7.
WIDTH, MORE = 512, 20160


@dataclasses.dataclass(frozen=True)
class Stage:
    """Where a backbone's resolution changes next, or ends.

    Attributes:
      name: of the module whose result is the map: the last one of its resolution.
      stride: pixels of the image per step in the map.
      features: channels of the map.
    """

    name: str
    stride: int
    features: int


class Reached(Exception):
    """The last stage is computed."""


def backbone(
    name: str, axis_name: str | None = None, dtype: Any = None, **fields: Any
) -> nn.Module:
    """Returns the network `name` for `stages` and `maps`.

    Args:
      fields: of the network, `dialect` among them, as in `models.build`.
    """
    known = [n for family in models.FAMILIES for n in family.MODELS]
    if name in models.MODELS and name not in known:
        raise InputError(f"{name} is no backbone: name a classifier, such as {known[0]}")
    if fields.get("auxiliary"):
        raise InputError(f"{name} has no auxiliary heads as a backbone: leave out 'auxiliary'")
    return models.build(name, axis_name=axis_name, **fields).clone(dtype=dtype)


def of(module: nn.Module) -> nn.Module:
    """Returns the backbone that a network has or, if it is a classifier, is."""
    if name := getattr(module, NAME, ""):
        return backbone(name, **dict(getattr(module, FIELDS)))
    if not any(isinstance(module, kind) for kind in kinds()):
        raise InputError(f"a {type(module).__name__} has no backbone, and is none")
    return module


def kinds() -> set[type[nn.Module]]:
    """Returns the modules that are classifiers."""
    found = set()
    for constructor in (c for family in models.FAMILIES for c in family.MODELS.values()):
        while isinstance(constructor, functools.partial):
            constructor = constructor.func
        found.add(constructor)
    return found


def gathered(known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a network over a backbone, with the backbone's own in one of them.

    {"backbone_width": 32} becomes {"backbone_fields": (("width", 32),)}. Raises InputError for what
    is none of the backbone's.
    """
    own = {n: v for n, v in given.items() if n in known or not n.startswith(PREFIX)}
    inner = {n.removeprefix(PREFIX): v for n, v in given.items() if n not in own}
    name = checks.matching(NAME, own.get(NAME, known[NAME]), known[NAME])
    inner |= dict(own.get(FIELDS, ()))
    backbone(name, **inner)
    return own | {FIELDS: tuple((n, checks.as_tuple(v)) for n, v in sorted(inner.items()))}


def fitted(variables: Mapping[str, Any], classifier: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the variables of a network over a backbone, with a classifier's weights in that.

    What the classifier has behind its stages is left aside. Raises InputError where a leaf of the
    backbone is missing, or of another shape.
    """
    leaves, theirs = tree.flatten(variables), tree.flatten(classifier)
    inner = {n: n.replace(f"/{NAME}/", "/", 1) for n in leaves if n.split("/")[1] == NAME}
    wanted = {own: tuple(leaves[name].shape) for name, own in inner.items()}
    found = {own: tuple(theirs[own].shape) for own in wanted if own in theirs}
    if different := tree.difference(wanted, found):
        raise InputError(f"these weights are of another backbone:\n{different}")
    return tree.unflatten(leaves | {name: theirs[own] for name, own in inner.items()})


def stages(network: nn.Module, channels: int = 3) -> tuple[Stage, ...]:
    """Returns the stages of a backbone, the finest first; nothing is computed."""
    return staged(network.clone(parent=None, axis_name=None), channels)


@functools.lru_cache(maxsize=256)
def staged(network: nn.Module, channels: int) -> tuple[Stage, ...]:
    results: dict[str, tuple[int, ...]] = {}

    def note(path: tuple[str, ...], module: nn.Module, result: Any) -> None:
        spatial = isinstance(result, jax.Array) and result.ndim == 4
        if spatial and (len(path) == 1 or path[0] == "stem") and not isinstance(module, Dropout):
            name = "/".join(path)
            results.pop(name, None)
            results[name] = result.shape

    images = jax.ShapeDtypeStruct((1, WIDTH + MORE, WIDTH, channels), jnp.float32)

    def walk(images: jax.Array) -> Any:
        return network.init(
            jax.random.key(0), images, method=lambda module, x: seen(module, x, False, note)
        )

    jax.eval_shape(walk, images)
    last: dict[int, Stage] = {}
    for name, (_, height, width, features) in results.items():
        stride = MORE // (height - width)
        last[stride] = Stage(name, stride, features)
    return tuple(last[stride] for stride in sorted(last))


def maps(
    parent: nn.Module, network: nn.Module, x: jax.Array, train: bool = False
) -> dict[str, jax.Array]:
    """Returns stage -> map (batch, height, width, features), the finest first.

    What follows the last stage is not computed, and has no weights.

    Args:
      parent: a module in its compact method; the network becomes its submodule "backbone".
      network: a `backbone`.
      x: images, (batch, height, width, channels).
    """
    names = [stage.name for stage in stages(network, x.shape[-1])]
    found: dict[str, jax.Array] = {}
    act = ACTIVATIONS[getattr(network, "act", "linear")]

    def note(path: tuple[str, ...], module: nn.Module, result: Any) -> None:
        name = "/".join(path)
        if name not in names:
            return
        # These stand before their activation, or have it in them where it is a ReLU, for which
        # a second time changes nothing.
        found[name] = act(result) if isinstance(module, Conv | BatchNorm) else result
        if name == names[-1]:
            raise Reached

    seen(network.clone(parent=parent, name=NAME), x, train, note)
    return {name: found[name] for name in names}


def seen(
    network: nn.Module,
    x: jax.Array,
    train: bool,
    note: Callable[[tuple[str, ...], nn.Module, Any], None],
) -> None:
    """Runs the network up to its head; `note` gets path, module and result of what is in it."""

    def watch(call: Any, arguments: Any, keywords: Any, context: Any) -> Any:
        module = context.module
        path = module.path[len(network.path) :]
        if len(path) == 1 and BEHIND.fullmatch(path[0]):
            raise Reached
        result = call(*arguments, **keywords)
        if path and context.method_name == "__call__":
            note(path, module, result)
        return result

    try:
        with nn.intercept_methods(watch):
            network(x, train)
    except Reached:
        pass
