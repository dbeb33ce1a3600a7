"""A network that a file describes, in the form in which all networks here are used."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import errors
from flax import linen as nn

from cnnjax.errors import InputError
from cnnjax.transfer.activations import Activation
from cnnjax.transfer.graph import Graph, Layer, Plan
from cnnjax.transfer.sources import channels_first


class Classifier(nn.Module):
    """Images (batch, height, width, channels) in, logits (batch, classes) out.

    Attributes:
      plan: of a graph with one input and one output, without a softmax or a sigmoid at its end.
      taken: how the graph takes an image: "last" or "first", where the channels stand; "plane",
        (height, width); "flat", all its numbers.
      binary: the one output is the logit of the second of two classes; that of the first is 0.
    """

    plan: Plan
    taken: str = "last"
    binary: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        if self.taken == "first":
            x = jnp.moveaxis(x, -1, 1)
        elif self.taken != "last":
            x = x[..., 0] if self.taken == "plane" else x.reshape(x.shape[0], -1)
        graph = Graph(self.plan, self.axis_name)
        nn.share_scope(self, graph)
        logits: Any = graph(x, train=train)
        if self.binary:
            logits = jnp.concatenate([jnp.zeros_like(logits), logits], -1)
        return logits


def of(
    module: Graph, variables: Mapping[str, Any], shape: tuple[int, int, int], path: str
) -> tuple[Classifier, bool]:
    """Returns the classifier of a graph, and whether its classes exclude each other.

    They do not where several outputs end with a sigmoid each. The variables stay as they are.

    Args:
      shape: (height, width, channels) of the images.

    Raises InputError for a graph that classifies no images.
    """
    plan = module.plan
    if len(plan.inputs) != 1 or len(plan.outputs) != 1:
        raise InputError(
            f"{path} takes {len(plan.inputs)} inputs and gives {len(plan.outputs)} outputs: a "
            "classifier of images has one of each"
        )
    own = plan.shapes[0] if plan.shapes else (None, None, 3)
    if len(own) > 3:
        raise InputError(f"{path} takes inputs of the shape {own}, which are no images")
    taken = ("flat", "plane", "first" if len(own) == 3 and channels_first(own) else "last")
    end = last_layer(plan)
    function = dict(end.fields)["act"].name if end is not None and end.probabilities else ""
    found = Classifier(with_logits(plan), taken[len(own) - 1])
    try:
        image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        outputs = jax.eval_shape(partial(found.apply, train=False), variables, image).shape
    except (TypeError, ValueError, IndexError, errors.FlaxError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"{path} does not take images of {shape}: {reason}") from error
    if len(outputs) != 2 or (outputs[1] == 1 and function != "sigmoid"):
        raise InputError(
            f"{path} gives {'x'.join(map(str, outputs[1:]))} numbers of an image, not one per class"
        )
    binary = outputs[1] == 1
    return found.clone(binary=binary), binary or function != "sigmoid"


def last_layer(plan: Plan) -> Layer | None:
    """Returns the layer that computes the output, in the innermost plan."""
    layer = plan.calls[plan.outputs[0].call].layer
    return last_layer(layer) if isinstance(layer, Plan) else layer


def with_logits(plan: Plan) -> Plan:
    """Returns the plan without a softmax or sigmoid at its end."""
    place = plan.outputs[0].call
    call = plan.calls[place]
    if isinstance(call.layer, Plan):
        layer: Any = with_logits(call.layer)
    elif isinstance(call.layer, Layer) and call.layer.probabilities:
        fields = dict(call.layer.fields) | {"act": Activation()}
        layer = dataclasses.replace(call.layer, fields=tuple(fields.items()), probabilities=False)
    else:
        return plan
    last = dataclasses.replace(call, layer=layer)
    calls = (*plan.calls[:place], last, *plan.calls[place + 1 :])
    return dataclasses.replace(plan, calls=calls)
