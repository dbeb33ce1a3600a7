"""Correlation by the programs that are quick on the device at hand.

GPUs and TPUs compute `lax.conv_general_dilated` and its gradients as they are. On a CPU they are
computed by oneDNN, where it is there and quicker, or else take one of the `forms`.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax import compiler, onednn
from cnnjax.layers.forms import (
    Form,
    form,
    form_to_weights,
    form_to_x,
    plain,
    plain_to_weights,
    plain_to_x,
)
from cnnjax.layers.window import Window
from cnnjax.parallel import alike

# Outputs, of all images together, below which oneDNN rearranges weights longer than it multiplies.
FEW = 256


def correlate(x: jax.Array, weights: jax.Array, window: Window) -> jax.Array:
    """Returns the correlation of x with weights, (batch, *outputs, features).

    Args:
      x: (batch, *spatial, channels).
      weights: (*kernel, channels / groups, features), of the dtype of x.
    """
    if not compiler.rewrites():
        return plain(window, x, weights)
    ones = (1,) * (x.ndim - 2)
    if weights.shape[:-2] == ones and not any(map(any, window.padding)):
        steps = (slice(None, None, stride) for stride in window.stride)
        x, window = x[:, *steps], window._replace(stride=ones)
    return correlate_on_cpu(*alike(x, weights), window)


def in_form(x: jax.Array, weights: jax.Array, window: Window) -> jax.Array:
    y = jax.eval_shape(partial(plain, window), x, weights)
    quick = by_onednn("y", window, x, weights, y)
    quick = quick or form(window, x.shape[1:-1], weights.shape, y.shape[1:-1])
    return on_cpu(quick, plain, window, x, weights)


correlate_on_cpu = jax.custom_vjp(in_form, nondiff_argnums=(2,))


def forward(x: jax.Array, weights: jax.Array, window: Window) -> tuple[jax.Array, tuple]:
    return in_form(x, weights, window), (x, weights)


def backward(window: Window, kept: tuple, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, weights = kept
    to_x = by_onednn("x", window, x, weights, gradient)
    to_x = to_x or form_to_x(window, x, weights, gradient)
    to_weights = by_onednn("weights", window, x, weights, gradient)
    to_weights = to_weights or form_to_weights(window, x, weights, gradient)
    return (
        on_cpu(to_x, plain_to_x, window, x, weights, gradient),
        on_cpu(to_weights, plain_to_weights, window, x, weights, gradient),
    )


correlate_on_cpu.defvjp(forward, backward)


def by_onednn(
    wanted: str, window: Window, x: jax.Array, weights: jax.Array, y: jax.Array
) -> Form | None:
    """Returns what computes one of the arrays, or its gradient, by oneDNN if that is quicker.

    The matrix products of XLA are as quick where a window is one pixel. Where there are few outputs
    the weights are larger than images, and oneDNN takes longer to rearrange than to multiply them.
    """
    arrays = (x, weights, y)
    pointwise = math.prod(weights.shape[:-2]) == 1 and window.groups == 1
    few = math.prod(y.shape[:-1]) < FEW
    if (pointwise and wanted != "weights") or (few and wanted != "x"):
        return None
    if any(array.dtype != jnp.float32 or array.size == 0 for array in arrays):
        return None
    convolution = onednn.Convolution(wanted, x.shape, weights.shape, y.shape, *window)
    if min(map(min, window.padding)) < 0 or not onednn.computes(convolution):
        return None
    return partial(once_differentiable, convolution)


EXACT: dict[str, Form] = {"x": plain_to_x, "weights": plain_to_weights, "y": plain}


def once_differentiable(
    convolution: onednn.Convolution, window: Window, *arrays: jax.Array
) -> jax.Array:
    """Returns what oneDNN computes of the arrays; its derivatives are those of XLA's operation."""
    exact = partial(EXACT[convolution.wanted], window)

    @jax.custom_jvp
    def computed(*arrays: jax.Array) -> jax.Array:
        named: dict[str, jax.Array] = dict(zip(EXACT, arrays, strict=False))
        return onednn.convolve(convolution, *(named[name] for name in convolution.operands))

    @computed.defjvp
    def derivative(arrays: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
        return computed(*arrays), jax.jvp(exact, arrays, tangents)[1]

    return computed(*arrays)


def on_cpu(quick: Form | None, exact: Form, window: Window, *arrays: jax.Array) -> jax.Array:
    """Returns `quick` of the arrays on a CPU, if there is one, and `exact` of them elsewhere."""
    default = partial(exact, window)
    if quick is None:
        return default(*arrays)
    return lax.platform_dependent(*arrays, cpu=partial(quick, window), default=default)
