"""Where in a layer a class is seen: Grad-CAM, Grad-CAM++ and guided backpropagation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax.structure import graph as graphs
from cnnjax.structure.graph import Graph

# From the outputs of the network to one value per image.
Select = Callable[[jax.Array], jax.Array]


def maps_and_gradients(
    graph: Graph, variables: Any, inputs: jax.Array, layer: str, select: Select
) -> tuple[jax.Array, jax.Array]:
    """Returns the layer's maps A, (batch, height, width, features), and d score / d A."""
    shape = graph.shape(layer)

    def score(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        outputs, seen = graphs.run(
            graph, variables, inputs, (layer,), {layer: lambda maps: maps + offset}
        )
        return select(outputs).sum(), seen[layer]

    slope, maps = jax.grad(score, has_aux=True)(jnp.zeros(shape))
    return maps, slope


def grad_cam(
    graph: Graph, variables: Any, inputs: jax.Array, layer: str, select: Select
) -> jax.Array:
    """Returns the class activation map of each image before the ReLU, (batch, height, width).

    Selvaraju et al. 2016 (arXiv 1610.02391), equations 1 and 2: the maps weighed by the mean of
    their gradient. The paper's ReLU comes last, when it is drawn.
    """
    maps, slope = maps_and_gradients(graph, variables, inputs, layer, select)
    weights = slope.mean((1, 2), keepdims=True)
    return (weights * maps).sum(-1)


def grad_cam_plus_plus(
    graph: Graph, variables: Any, inputs: jax.Array, layer: str, select: Select
) -> jax.Array:
    """Returns the class activation map of each image before the ReLU, (batch, height, width).

    Chattopadhyay et al. 2017 (arXiv 1710.11063), equations 11, 13 and 19, with the exponential of
    the score as the smooth function; its positive factor is left out, as it scales the whole map.
    """
    maps, slope = maps_and_gradients(graph, variables, inputs, layer, select)
    second, third = slope**2, slope**3
    divisor = 2 * second + maps.sum((1, 2), keepdims=True) * third
    alpha = jnp.where(divisor == 0, 0.0, second / jnp.where(divisor == 0, 1.0, divisor))
    weights = (alpha * jax.nn.relu(slope)).sum((1, 2), keepdims=True)
    return (weights * maps).sum(-1)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def guided(name: str, x: jax.Array) -> jax.Array:
    """Returns the ReLU `name` of x; its gradient passes where it and x are positive."""
    return getattr(jax.nn, name)(x)


def forward(name: str, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    y = getattr(jax.nn, name)(x)
    return y, (y > 0) & (y == x)


def backward(name: str, passes: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    return (jnp.where(passes & (gradient > 0), gradient, 0),)


guided.defvjp(forward, backward)


def guided_backpropagation(
    graph: Graph, variables: Any, inputs: jax.Array, select: Select
) -> jax.Array:
    """Returns the gradient of the inputs that no ReLU lets through where it is negative.

    Springenberg et al. 2014 (arXiv 1412.6806), section 3.4. It shows the edges of the image more
    than what the network decides by: with random weights it looks much the same (Adebayo et al.
    2018, arXiv 1810.03292, figure 2).
    """

    def score(inputs: jax.Array) -> jax.Array:
        rectifier: Any = guided
        return select(graphs.run(graph, variables, inputs, rectifier=rectifier)[0]).sum()

    return jax.grad(score)(inputs)


def enlarged(maps: jax.Array, height: int, width: int) -> jax.Array:
    """Returns maps (batch, height, width) at the size of the images, bilinear."""
    return jax.image.resize(maps, (len(maps), height, width), "linear")
