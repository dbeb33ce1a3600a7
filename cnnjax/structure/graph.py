"""A traced network whose results can be looked at, and changed, by name.

No network has code for this: every operation that Flax traces carries the path of the module it
belongs to, and our functions that are layers name theirs. A layer's result is the last value that
leaves its run of operations, so modules ("stage1_block2"), the layers inside of them
("stage1_block2/conv1/conv") and functions ("max_pool_1") go by the names that
`experiments.summary` prints.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.extend import core

from cnnjax import compiler
from cnnjax.errors import InputError, nearest
from cnnjax.structure import receptive

Change = Callable[[jax.Array], jax.Array]
# Takes the name of a ReLU ("relu", "relu6") and its operand.
Rectifier = Callable[[str, jax.Array], jax.Array]
# What a gradient may be asked to treat in another way (guided backpropagation).
RECTIFIERS = ("relu", "relu6")


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A network traced for inputs of one shape.

    Attributes:
      jaxpr: of (variables, inputs) -> outputs, the arguments flattened.
      constants: of the jaxpr.
      layers: name -> the variable that holds its result, in the order of the results.
      views: variable -> what it sees of the inputs, see `receptive`.
    """

    jaxpr: Any
    constants: tuple[Any, ...]
    layers: dict[str, Any]
    views: dict[Any, Any]

    def shape(self, layer: str) -> tuple[int, ...]:
        """Returns the shape of a layer's result, the batch first."""
        return self.layers[layer].aval.shape

    @property
    def spatial(self) -> list[str]:
        """The layers whose results, (batch, height, width, channels), still have places."""
        return [n for n in self.layers if len(self.shape(n)) == 4 and max(self.shape(n)[1:3]) > 1]

    @property
    def rectifiers(self) -> int:
        """How many ReLUs (`RECTIFIERS`) the network computes."""
        return sum(rectifier_of(equation) != "" for equation in self.jaxpr.eqns)


def traced(module: nn.Module, variables: Any, shape: Sequence[int]) -> Graph:
    """Returns the graph of `module` in evaluation, for float32 inputs of `shape`, the batch first.

    Layers take their plain operations, one after the other, whatever the device.
    """
    inputs = jax.ShapeDtypeStruct(tuple(shape), jnp.float32)

    def apply(variables: Any, inputs: jax.Array) -> jax.Array:
        return module.apply(variables, inputs, train=False, mutable=["intermediates"])[0]  # pyright: ignore

    with compiler.plainly():
        closed = jax.make_jaxpr(apply)(variables, inputs)
    return Graph(
        closed.jaxpr,
        tuple(closed.consts),
        named_results(closed.jaxpr),
        receptive.views_of(closed.jaxpr),
    )


def named_results(jaxpr: Any) -> dict[str, Any]:
    """Returns name -> result of every scope, in the order in which the results are there.

    A name that comes again gets a number: "max_pool", "max_pool_1".
    """
    last_use = receptive.last_uses(jaxpr)
    paths = [scopes_of(equation) for equation in jaxpr.eqns]
    found: list[tuple[int, int, str, Any]] = []
    for depth in range(1, max(map(len, paths), default=0) + 1):
        counts: dict[str, int] = {}
        runs = itertools.groupby(range(len(paths)), key=lambda i, d=depth: paths[i][:d])
        for path, run in runs:
            if len(path) < depth:
                continue
            run = list(run)
            results = [
                v for i in run for v in jaxpr.eqns[i].outvars
                if last_use.get(v, -1) > run[-1] and jnp.issubdtype(v.aval.dtype, jnp.floating)
            ]  # fmt: skip
            if not results:
                continue
            name = "/".join(path)
            counts[name] = counts.get(name, -1) + 1
            name = f"{name}_{counts[name]}" if counts[name] else name
            # The deeper scope first where both end at once, so that the outer is the later.
            found.append((run[-1], -depth, name, results[-1]))
    return {name: result for *_, name, result in sorted(found, key=lambda entry: entry[:2])}


def scopes_of(equation: Any) -> tuple[str, ...]:
    """Returns the path of modules and named functions of an equation, without the network's own."""
    # "block.method" repeats the block for one of its methods.
    return tuple(s for s in str(equation.source_info.name_stack).split("/")[1:] if "." not in s)


def find(graph: Graph, layer: str | None, among: Sequence[str] | None = None) -> str:
    """Returns the name of a layer that exists; for None the last of `among`.

    Args:
      among: names that are allowed; None allows all.
    """
    among = list(graph.layers) if among is None else among
    if layer is None and among:
        return among[-1]
    if layer is None or layer not in among:
        lacks = "has no layer with places" if layer in graph.layers else "has no layer"
        asked = "" if layer is None else f" {layer!r}{nearest(layer, among)}"
        raise InputError(f"the network {lacks}{asked}")
    return layer


def run(
    graph: Graph,
    variables: Any,
    inputs: jax.Array,
    look: Sequence[str] = (),
    change: Mapping[str, Change] | None = None,
    rectifier: Rectifier | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the outputs, and the results of the layers in `look`.

    Args:
      inputs: of the shape that the graph was traced for.
      change: layer -> what its result is replaced by, for everything that follows; `look` shows
        what came before the change.
      rectifier: computed in place of every ReLU.
    """
    leaves = jax.tree.leaves((variables, inputs))
    values = dict(zip(graph.jaxpr.invars, leaves, strict=True))
    values |= dict(zip(graph.jaxpr.constvars, graph.constants, strict=True))
    before: dict[Any, jax.Array] = {}
    changes = {graph.layers[name]: new for name, new in (change or {}).items()}
    for equation in graph.jaxpr.eqns:
        if rectifier and rectifier_of(equation):
            results = [rectifier(rectifier_of(equation), values[equation.invars[0]])]
        else:
            results = computed(equation, graph.jaxpr, values)
        values |= zip(equation.outvars, results, strict=True)
        for variable in changes.keys() & set(equation.outvars):
            before[variable] = values[variable]
            values[variable] = changes[variable](values[variable])
    (output,) = graph.jaxpr.outvars
    seen = {name: (values | before)[graph.layers[name]] for name in look}
    return values[output], seen


def computed(equation: Any, jaxpr: Any, values: Mapping[Any, Any]) -> list[jax.Array]:
    """Returns the results of one equation, with the derivatives that it was traced with."""
    operands = list({v: None for v in equation.invars if receptive.is_variable(v)})
    alone = jaxpr.replace(
        invars=operands, outvars=list(equation.outvars), eqns=[equation], constvars=[]
    )
    function = core.jaxpr_as_fun(core.ClosedJaxpr(alone, []))
    return list(function(*(values[v] for v in operands)))


def rectifier_of(equation: Any) -> str:
    """Returns the name of the ReLU that an equation computes; "" for any other."""
    if equation.primitive.name != "custom_jvp_call":
        return ""
    inner: Any = receptive.called(equation)
    name = inner.eqns[0].params.get("name") if len(inner.eqns) == 1 else None
    return name if name in RECTIFIERS else ""
