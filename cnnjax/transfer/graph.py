"""A network that a file describes: a graph of calls of layers, as one Flax module."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import linen as nn

from cnnjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One variable of a layer: `path`, "params/kernel", and how the file's array becomes it."""

    path: str
    arranged: Callable[[Any], Any] | None = None


@dataclasses.dataclass(frozen=True)
class Layer:
    """What a layer computes: `function(unit, *inputs, train=..., **fields)`.

    Attributes:
      fields: (name, value) pairs, hashable.
      leaves: its variables, in the order in which the source lists them.
      probabilities: the layer ends with a softmax or a sigmoid.
    """

    function: Callable[..., Any]
    fields: tuple[tuple[str, Any], ...] = ()
    leaves: tuple[Leaf, ...] = ()
    probabilities: bool = False


@dataclasses.dataclass(frozen=True)
class Value:
    """The `part`-th result of the `call`-th call of a plan."""

    call: int
    part: int = 0


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer; calls of one name share its variables.

    Attributes:
      name: of the layer, and of its submodule.
      layer: what it computes: a plan for a network inside this one, None for an input.
      inputs: for each argument a Value, a tuple of them, or a constant.
      frozen: computes as in evaluation, even in training (Keras' `training=False`).
      kind, source: the source's class and name of the layer, to speak of it.
      trainable: whether its author trained its parameters.
    """

    name: str
    layer: Layer | Plan | None
    inputs: tuple[Any, ...] = ()
    frozen: bool = False
    kind: str = ""
    source: str = ""
    trainable: bool = True


@dataclasses.dataclass(frozen=True)
class Plan:
    """Calls in an order in which each follows those it needs.

    Attributes:
      inputs: the calls that stand for the inputs, in their order.
      outputs: in their order.
      shapes: of the inputs without the batch; None where any size will do. Empty: not said.
      order: the names of the layers as the source lists them.
    """

    calls: tuple[Call, ...]
    inputs: tuple[int, ...]
    outputs: tuple[Value, ...]
    shapes: tuple[tuple[int | None, ...], ...] = ()
    order: tuple[str, ...] = ()

    @property
    def probabilities(self) -> bool:
        """Whether the first output ends with a softmax or a sigmoid, and so is no logits."""
        layer = self.calls[self.outputs[0].call].layer
        return layer is not None and layer.probabilities


class Graph(nn.Module):
    """The network of a plan; it takes what the file's own network takes, and returns the same.

    Attributes:
      plan: from a file's config.
      axis_name: mapped axis over which a batch is split, as in `layers.BatchNorm`; None without.
    """

    plan: Plan
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        """Returns the output, or a tuple of several; x is the input, or a sequence of several."""
        given = tuple(x) if isinstance(x, Sequence) else (x,)
        if len(given) != len(self.plan.inputs):
            raise InputError(f"the network takes {len(self.plan.inputs)} inputs, not {len(given)}")
        starts = dict(zip(self.plan.inputs, given, strict=True))
        units: dict[str, nn.Module] = {}
        results: list[tuple[Any, ...]] = []
        for i, call in enumerate(self.plan.calls):
            if call.layer is None:
                results.append((starts[i],))
                continue
            if call.name not in units:
                units[call.name] = self.unit(call)
            inputs = [value_of(argument, results) for argument in call.inputs]
            if isinstance(call.layer, Plan):
                inputs = [inputs[0] if len(inputs) == 1 else tuple(inputs)]
            result = units[call.name](*inputs, train=train and not call.frozen)  # pyright: ignore
            results.append(result if isinstance(result, tuple) else (result,))
        outputs = tuple(results[value.call][value.part] for value in self.plan.outputs)
        return outputs if len(outputs) > 1 else outputs[0]  # pyright: ignore

    def unit(self, call: Call) -> nn.Module:
        kind: Any = Graph if isinstance(call.layer, Plan) else Unit
        return kind(call.layer, self.axis_name, name=call.name)

    @property
    def probabilities(self) -> bool:
        return self.plan.probabilities


class Unit(nn.Module):
    """One layer of a graph."""

    layer: Layer
    axis_name: str | None = None

    @nn.compact
    def __call__(self, *inputs: jax.Array, train: bool = False) -> jax.Array:
        return self.layer.function(self, *inputs, train=train, **dict(self.layer.fields))

    def shared(self, module: nn.Module) -> Any:
        """Returns a module whose variables lie directly under this layer's name."""
        nn.share_scope(self, module)
        return module


def value_of(argument: Any, results: Sequence[tuple[Any, ...]]) -> Any:
    """Returns what an argument of a call stands for."""
    if isinstance(argument, Value):
        return results[argument.call][argument.part]
    if isinstance(argument, tuple):
        return tuple(value_of(part, results) for part in argument)
    return argument
