"""Sheets about a network's layers, each a function that returns a matplotlib figure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from cnnjax import compiler, tree
from cnnjax.errors import InputError
from cnnjax.explain import draw, units
from cnnjax.explain.methods import Question
from cnnjax.structure import graph as graphs
from cnnjax.structure import receptive
from cnnjax.structure.graph import Graph

# Layers that the hierarchy from low to high shows, and rows of a journey.
HEIGHTS, STATIONS = 4, 10


def looked_at(question: Question, variables: Any, pixels: np.ndarray, layers: Sequence[str]):
    """Returns layer -> its maps (height, width, features) of one image, in numpy."""
    see = compiler.jit(
        lambda variables, pixels: graphs.run(
            question.graph, variables, question.preprocess(pixels), tuple(layers)
        )[1]
    )
    seen = see(variables, np.asarray(pixels[None], np.float32))
    return {name: np.asarray(seen[name][0]) for name in layers}  # jit sorts what it returns


def filters(question: Question, variables: Any, layer: str | None) -> Figure:
    """Draws the filters of a convolution; of the first one where none is named."""
    leaves = tree.flatten(variables)
    found = {
        re.sub(r"^params/|/kernel$", "", name): np.asarray(leaf)
        for name, leaf in leaves.items()
        if name.startswith("params/") and name.endswith("/kernel") and leaf.ndim == 4
    }
    order = [name for name in question.graph.layers if name in found]
    if not order:
        raise InputError("the network has no convolution over images, and so no filters to draw")
    chosen = order[0] if layer is None else layer
    if chosen not in found and f"{chosen}/conv" in found:
        chosen = f"{chosen}/conv"
    chosen = graphs.find(question.graph, chosen, order)
    height, width, channels, features = found[chosen].shape
    kind = "" if channels in (1, 3) else "; lengths over the channels"
    title = f"{chosen}: {features} filters of {height}x{width} on {channels} channels{kind}"
    return draw.kernels(found[chosen], title)


def maps(question: Question, variables: Any, pixels: np.ndarray) -> Figure:
    values = looked_at(question, variables, pixels, [question.layer])[question.layer]
    height, width, features = values.shape
    title = f"{question.layer}: {features} maps of {height}x{width}"
    if features > draw.MOST:
        title += f"; the first {draw.MOST}"
    return draw.maps(values, title)


def triptych(question: Question, variables: Any, pixels: np.ndarray, layer: str | None) -> Figure:
    """Draws an image, a convolution of it (the first if none is named), and its activation."""
    pairs = activated(question.graph)
    if not pairs:
        raise InputError("the network has no convolution that an activation follows")
    before = graphs.find(question.graph, next(iter(pairs)) if layer is None else layer, list(pairs))
    after = pairs[before]

    def see(variables: Any, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
        named = {"before": question.graph.layers[before], "after": after}
        graph = Graph(question.graph.jaxpr, question.graph.constants, named, {})
        seen = graphs.run(graph, variables, question.preprocess(pixels), ("before", "after"))[1]
        return seen["before"][0], seen["after"][0]

    left, right = compiler.jit(see)(variables, np.asarray(pixels[None], np.float32))
    title = f"{before} and its activation: the six maps that are strongest after it"
    return draw.triptych(pixels, np.asarray(left), np.asarray(right), title)


def activated(graph: Graph) -> dict[str, Any]:
    """Returns, of each layer with places that an activation follows, the variable of the latter.

    An activation is an operation of one array whose result has the same shape.
    """
    found = {}
    for name in graph.spatial:
        variable = graph.layers[name]
        for equation in graph.jaxpr.eqns:
            operands = [v for v in equation.invars if receptive.is_variable(v)]
            known = equation.primitive.name in ("custom_jvp_call", "tanh", "logistic", "max")
            result = equation.outvars[0]
            if operands == [variable] and known and result.aval.shape == variable.aval.shape:
                found[name] = result
    return found


def journey(question: Question, variables: Any, pixels: np.ndarray, title: str) -> Figure:
    """Draws how an image changes through the whole network, from its first to its last maps."""
    outer = [name for name in question.graph.spatial if "/" not in name]
    chosen = spread(outer or question.graph.spatial, STATIONS)
    return draw.journey(pixels, looked_at(question, variables, pixels, chosen), title)


def spread(names: Sequence[str], count: int) -> list[str]:
    """Returns at most `count` of the names, evenly from the first to the last."""
    picks = np.unique(np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int))
    return [names[int(i)] for i in picks]


def hierarchy(question: Question, layer: str | None) -> list[str]:
    """Returns the layers to show: the one that is named, or some from low to high."""
    if layer is not None:
        return [graphs.find(question.graph, layer, question.graph.spatial)]
    convolutions = [n for n in question.graph.spatial if "/" not in n and "pool" not in n]
    return spread(convolutions or question.graph.spatial, HEIGHTS)


def patches(
    question: Question, variables: Any, images: np.ndarray, layer: str, unit_count: int = 8,
    count: int = 8, batch: int = 64,
) -> Figure:  # fmt: skip
    """Draws, a row per unit, the patches of `images` that excite it most.

    Args:
      images: (n, height, width, channels) uint8.
    """
    batch = min(batch, len(images))
    graph = question.graph
    wide = graphs.traced(question.module, variables, (batch, *images.shape[1:]))
    see = compiler.jit(lambda v, p: graphs.run(wide, v, question.preprocess(p), (layer,))[1][layer])
    values, places = units.peaks(
        lambda part: see(variables, np.asarray(part, np.float32)), images, batch
    )
    # Units that answer to something, and not to everything: by the spread of their peaks.
    chosen = np.sort(np.argsort(-values.std(0), kind="stable")[:unit_count])
    pictures, captions = [], []
    for unit in chosen:
        for patch in units.strongest(graph, layer, values, places, int(unit), count):
            picture = images[patch.image, slice(*patch.rows), slice(*patch.columns)]
            pictures.append(picture)
            captions.append(f"unit {unit}: {patch.value:.2f}")
    title = f"{layer}: what excites its units most, among {len(images):,} images"
    return draw.images(pictures, captions, count, title)


def optimised(
    question: Question, variables: Any, layer: str, key: jax.Array, unit_count: int = 16
) -> Figure:
    """Draws inputs that were changed until they excite the first units of a layer."""
    features = question.graph.shape(layer)[-1]
    wanted = np.arange(min(unit_count, features), dtype=np.int32)
    shape = question.graph.jaxpr.invars[-1].aval.shape[1:]
    wide = graphs.traced(question.module, variables, (len(wanted), *shape))
    excite: Callable[..., jax.Array] = compiler.jit(
        lambda key, v, u: units.exciting(key, wide, v, question.preprocess, layer, u)
    )
    pictures = np.asarray(excite(key, variables, wanted))
    title = f"{layer}: inputs made to excite a unit each"
    return draw.images(list(pictures), [f"unit {u}" for u in wanted], min(8, len(wanted)), title)
