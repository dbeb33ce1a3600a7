"""The layers of a network, found by tracing it: nothing is computed and no weight allocated.

A layer is a module that owns weights, a dropout that drops, one of our functions that works in a
window or pools globally, or the flattening before dense layers.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import layers, models, tree
from cnnjax.registry import Table
from cnnjax.structure import receptive

Shape = tuple[int, ...]
Path = tuple[str, ...]
# Of our functions, those that are layers: they name their scope.
FUNCTIONS = (
    "max_pool",
    "average_pool",
    "geometric_pool",
    "harmonic_pool",
    "global_average_pool",
    "global_max_pool",
    "adaptive_average_pool",
    "local_response_norm",
)


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer, or several in sequence, for one image.

    Attributes:
      shape: of the output, without the batch.
      trainable, non_trainable: numbers in `params`, and elsewhere (running statistics).
      macs: multiply-adds of convolutions and matrix products.
      activation_bytes: of the output.
      receptive_field: pixels of (height, width) that one output value depends on, those outside the
        image included; None: all of them.
    """

    name: str
    kind: str
    shape: Shape
    trainable: int
    non_trainable: int
    macs: int
    activation_bytes: int
    receptive_field: Shape | None

    @property
    def parameters(self) -> int:
        return self.trainable + self.non_trainable


@dataclasses.dataclass(frozen=True)
class Trace:
    """The layers in the order they run, and the shape that each top-level module returns."""

    layers: list[Layer]
    outputs: dict[str, Shape]


def trace(module: nn.Module, shape: Shape) -> Trace:
    """Traces `module` on an image of `shape` (height, width, channels).

    Raises InputError for images that the network cannot take.
    """
    variables = models.check_input(module, shape)
    kinds: dict[Path, str] = {}
    outputs: dict[str, Shape] = {}

    def note(call: Any, arguments: Any, keywords: Any, context: Any) -> Any:
        inside, path = context.module, context.module.path
        # Where modules share a scope, the outermost gives the layer its kind.
        kinds.setdefault(path, type(inside).__name__)
        result = call(*arguments, **keywords)
        if len(path) == 1 and isinstance(result, jax.Array):
            outputs[path[0]] = result.shape[1:]
        # A dropout hands its input on, which leaves no trace; a copy does.
        return jnp.copy(result) if drops(inside) else result

    def apply(variables: Any, images: jax.Array) -> jax.Array:
        # For whoever looks at what is in between, a unit computes its parts one by one.
        with nn.intercept_methods(note):
            return module.apply(variables, images, train=False, mutable=["intermediates"])[0]

    images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    jaxpr = jax.make_jaxpr(apply)(variables, images).jaxpr
    return Trace(layers_of(jaxpr, variables, kinds), outputs)


def drops(module: nn.Module) -> bool:
    return isinstance(module, layers.Dropout) and module.rate > 0


def layers_of(jaxpr: Any, variables: Any, kinds: dict[Path, str]) -> list[Layer]:
    """Returns a layer for each run of equations in one layer, and result of it that is used."""
    sizes = owned_sizes(variables)
    views = receptive.views_of(jaxpr)
    last_use = receptive.last_uses(jaxpr)
    names: collections.Counter[str] = collections.Counter()
    labelled = [(layer_of(e, sizes, kinds), i, e) for i, e in enumerate(jaxpr.eqns)]
    found = []
    for (path, kind), run in itertools.groupby(labelled, key=lambda entry: entry[0]):
        equations = [(i, e) for _, i, e in run]
        if not kind:
            continue
        end = equations[-1][0]
        results = [v for _, e in equations for v in e.outvars if last_use.get(v, -1) > end]
        # Of a second call, or result, of a layer only the work counts again, not its weights.
        macs = sum(macs_of(e) for _, e in equations)
        for result in results or equations[-1][1].outvars:
            name = "/".join(path)
            names[name] += 1
            found.append(
                Layer(
                    name if names[name] == 1 else f"{name}_{names[name] - 1}",
                    kind,
                    result.aval.shape[1:],
                    *sizes.pop(path, (0, 0)),
                    macs=macs,
                    activation_bytes=math.prod(result.aval.shape) * result.aval.dtype.itemsize,
                    receptive_field=receptive.sizes(views.get(result)),
                )
            )
            macs = 0
    return found


def layer_of(equation: Any, sizes: dict[Path, Any], kinds: dict[Path, str]) -> tuple[Path, str]:
    """Returns the path and kind of the layer that an equation belongs to; ((), "") for none."""
    # The first scope is the network; "block.method" repeats the block for one of its methods.
    scopes = [s for s in str(equation.source_info.name_stack).split("/")[1:] if "." not in s]
    for n in range(1, len(scopes) + 1):
        path = tuple(scopes[:n])
        if path in sizes or kinds.get(path) == "Dropout":
            return path, kinds[path]
        if path not in kinds and scopes[n - 1] in FUNCTIONS:
            return path, scopes[n - 1].title().replace("_", "")
    ranks = [v.aval.ndim for v in (*equation.invars[:1], *equation.outvars)]
    if equation.primitive.name == "reshape" and ranks[0] > ranks[1] == 2:
        return (*scopes, "flatten"), "Flatten"
    return (), ""


def owned_sizes(variables: Any) -> dict[Path, tuple[int, int]]:
    """Returns path -> (trainable, non-trainable) numbers, for each module that owns some."""
    sizes: dict[Path, tuple[int, int]] = {}
    for name, shape in tree.shapes(variables).items():
        collection, *path, _ = name.split("/")
        trainable, other = sizes.get(tuple(path), (0, 0))
        if collection == "params":
            trainable += math.prod(shape)
        else:
            other += math.prod(shape)
        sizes[tuple(path)] = trainable, other
    return sizes


def macs_of(equation: Any) -> int:
    """Returns the multiply-adds of an equation's convolutions and matrix products."""
    inner = receptive.called(equation)
    if inner is not None:
        return sum(map(macs_of, inner.eqns))
    name, params = equation.primitive.name, equation.params
    if name not in ("conv_general_dilated", "dot_general"):
        return 0
    outputs = math.prod(equation.outvars[0].aval.shape)
    left, right = (v.aval.shape for v in equation.invars)
    if name == "conv_general_dilated":
        return outputs * math.prod(right) // right[params["dimension_numbers"].rhs_spec[0]]
    (contracted, _), _ = params["dimension_numbers"]
    return outputs * math.prod(left[i] for i in contracted)


def grouped(traced: Trace, by: str) -> list[Layer]:
    """Returns what `by` says as one: each "layer", "block" or "stage".

    A block is a top-level module, `stage2_block1`; its stage is the name up to the underscore.
    """
    ends = Table("grouping", layer=None, block="/", stage="/|_block|_cell")[by]
    if not ends:
        return traced.layers
    found = []
    for name, group in itertools.groupby(
        traced.layers, lambda layer: re.split(ends, layer.name)[0]
    ):
        group = list(group)
        last = group[-1]
        shape = traced.outputs.get(last.name.split("/")[0], last.shape)
        found.append(joined(name, group, shape))
    return found


def joined(name: str, group: Sequence[Layer], shape: Shape) -> Layer:
    """Returns layers in sequence as one that returns `shape`."""
    fields = [layer.receptive_field for layer in group]
    known = [field for field in fields if field is not None]
    return Layer(
        name,
        group[0].kind if len(group) == 1 else f"{len(group)} layers",
        shape,
        sum(layer.trainable for layer in group),
        sum(layer.non_trainable for layer in group),
        sum(layer.macs for layer in group),
        sum(layer.activation_bytes for layer in group),
        tuple(map(max, zip(*known, strict=True))) if len(known) == len(fields) else None,
    )
