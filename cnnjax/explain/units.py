"""What the units of a layer answer to: in a data set, and in inputs made to excite them.

A unit is one channel of a layer, whatever the place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from cnnjax.structure import graph as graphs
from cnnjax.structure.graph import Graph


class Patch(NamedTuple):
    """Where a unit answers most.

    Attributes:
      image: its index.
      value: the unit's.
      rows, columns: [first, end) of the pixels that it sees, inside the image.
    """

    image: int
    value: float
    rows: tuple[int, int]
    columns: tuple[int, int]


def peaks(
    results: Callable[[np.ndarray], jax.Array], images: np.ndarray, batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the largest value of every unit in each image, and its place (row, column).

    Args:
      results: from `batch` images to a layer's maps, (batch, height, width, units).

    Returns:
      (images, units) float32, and (images, units, 2) int.
    """
    values, places = [], []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        padded = np.concatenate([part, np.repeat(part[-1:], batch - len(part), 0)])
        maps = np.asarray(results(padded))[: len(part)]
        flat = maps.reshape(len(part), -1, maps.shape[-1])
        best = flat.argmax(1)
        values.append(np.take_along_axis(flat, best[:, None], 1)[:, 0])
        places.append(np.stack(np.unravel_index(best, maps.shape[1:3]), -1))
    return np.concatenate(values), np.concatenate(places)


def strongest(
    graph: Graph, layer: str, values: np.ndarray, places: np.ndarray, unit: int, count: int
) -> list[Patch]:
    """Returns the `count` patches, each of another image, that excite a unit most, best first."""
    order = np.argsort(-values[:, unit], kind="stable")[:count]
    return [
        Patch(int(i), float(values[i, unit]), *window(graph, layer, places[i, unit])) for i in order
    ]


def window(graph: Graph, layer: str, place: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Returns the rows and columns of the image that a place of a layer sees, as [first, end)."""
    view = graph.views.get(graph.layers[layer])
    found = []
    for axis in range(2):
        size = graph.jaxpr.invars[-1].aval.shape[1 + axis]
        reach = None if view is None else view[axis]
        if reach is None:
            found.append((0, size))
            continue
        first = reach.first + int(place[axis]) * reach.step
        last = reach.last + int(place[axis]) * reach.step
        found.append((min(max(first, 0), size - 1), max(min(last + 1, size), 1)))
    return tuple(found)


def exciting(
    key: jax.Array,
    graph: Graph,
    variables: Any,
    preprocess: Callable[[jax.Array], jax.Array],
    layer: str,
    units: jax.Array,
    steps: int = 256,
    rate: float = 0.05,
    roughness: float = 4.0,
    shift: int = 2,
) -> jax.Array:
    """Returns images in [0, 255] that were changed until they excite a unit each.

    Gradient ascent on the mean of the unit's map from gray noise (Erhan et al. 2009; Simonyan et
    al. 2013, arXiv 1312.6034, section 2), with what keeps pictures natural by Olah, Mordvintsev and
    Schubert 2017 (Distill, "Feature Visualization"): the image is shifted at random at every step,
    by at most `shift` pixels, and `roughness` weighs the differences of neighbours.

    Args:
      graph: traced for as many images as there are `units`, (batch,).
    """
    start_key, steps_key = jax.random.split(key)
    shape = graph.jaxpr.invars[-1].aval.shape
    optimizer = optax.adam(rate)
    raw = 0.1 * jax.random.normal(start_key, shape)

    def pixels(raw: jax.Array) -> jax.Array:
        return 255 * jax.nn.sigmoid(raw)

    def loss(raw: jax.Array, offset: jax.Array) -> jax.Array:
        images = jnp.roll(pixels(raw), offset, (1, 2))
        _, seen = graphs.run(graph, variables, preprocess(images), (layer,))
        maps = seen[layer]
        excited = maps.mean(tuple(range(1, maps.ndim - 1)))
        own = jnp.take_along_axis(excited, units[:, None], -1)
        rough = sum(
            jnp.abs(jnp.diff(images, axis=axis)).mean((1, 2, 3)).sum() / 255 for axis in (1, 2)
        )
        return roughness * rough - (own / scale).sum()

    # In units of what noise does to the layer, so that one roughness does for every layer.
    _, at_start = graphs.run(graph, variables, preprocess(pixels(raw)), (layer,))
    scale = at_start[layer].std() + 1e-6

    def step(carry: tuple[Any, Any], key: jax.Array) -> tuple[tuple[Any, Any], None]:
        raw, state = carry
        offset = jax.random.randint(key, (2,), -shift, shift + 1)
        updates, state = optimizer.update(jax.grad(loss)(raw, offset), state)
        return (optax.apply_updates(raw, updates), state), None

    (raw, _), _ = lax.scan(step, (raw, optimizer.init(raw)), jax.random.split(steps_key, steps))
    return pixels(raw)
