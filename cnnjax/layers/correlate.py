"""Correlation by the programs that are quick on the device at hand.

GPUs and TPUs compute `lax.conv_general_dilated` and its gradients as they are. On a CPU they are
computed by oneDNN, where it is there and quicker, or else take one of the `forms`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax import compiler, onednn
from cnnjax.layers import forms
from cnnjax.layers.channels import channel_sum, spread
from cnnjax.layers.window import Window
from cnnjax.parallel import alike

# Outputs, of all images together, below which oneDNN rearranges weights longer than it multiplies.
FEW = 256
# What may be done to a correlation, in this order; the first is a part of it.
AFTER = ("bias", "scale", "shift", "shortcut")
PLAIN = {"x": forms.plain_to_x, "weights": forms.plain_to_weights, "y": forms.plain}

# Arrays by name: "x", "weights", the result or its gradient "y", and those of AFTER.
Arrays = dict[str, jax.Array]
Program = Callable[[Arrays], Arrays]


def correlate(
    x: jax.Array, weights: jax.Array, window: Window, relu: bool = False, **after: jax.Array
) -> jax.Array:
    """Returns the correlation of x with weights, (batch, *outputs, features).

    Args:
      x: (batch, *spatial, channels).
      weights: (*kernel, channels / groups, features), of the dtype of x.
      relu: whether negative values become zero at the end.
      after: of the dtype of x: `bias` is added, `scale` multiplied with, `shift` added, each
        (features,), and then `shortcut`, an array like the result, is added.
    """
    if unknown := after.keys() - set(AFTER):
        raise TypeError(f"after a correlation come {', '.join(AFTER)}; given: {sorted(unknown)}")
    arrays = {"x": x, "weights": weights} | {name: after[name] for name in AFTER if name in after}
    if not compiler.rewrites():
        return complete("y", forms.plain, window, relu, arrays)["y"]
    ones = (1,) * (x.ndim - 2)
    if weights.shape[:-2] == ones and not any(map(any, window.padding)):
        steps = (slice(None, None, stride) for stride in window.stride)
        arrays["x"], window = x[:, *steps], window._replace(stride=ones)
    arrays = dict(zip(arrays, alike(*arrays.values()), strict=True))
    if after.keys() - {"bias"}:
        return at_once(arrays, window, relu)
    if relu and by_onednn("y", window, arrays, relu) is None:
        return jax.nn.relu(correlate_on_cpu(arrays, window, False))
    return correlate_on_cpu(arrays, window, relu)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def correlate_on_cpu(arrays: Arrays, window: Window, relu: bool) -> jax.Array:
    """Returns the correlation, with its bias if there is one."""
    return compute("y", window, arrays, relu)["y"]


def forward(arrays: Arrays, window: Window, relu: bool) -> tuple[jax.Array, tuple]:
    y = compute("y", window, arrays, relu)["y"]
    return y, (arrays, y if relu else None)


def backward(window: Window, relu: bool, kept: tuple, gradient: jax.Array) -> tuple[Arrays]:
    arrays, y = kept
    arrays = {**arrays, "y": jnp.where(y > 0, gradient, 0) if relu else gradient}
    return (compute("x", window, arrays) | compute("weights", window, arrays),)


correlate_on_cpu.defvjp(forward, backward)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def at_once(arrays: Arrays, window: Window, relu: bool) -> jax.Array:
    """Returns the correlation and all that follows it, in one pass where no gradient is taken."""
    if by_onednn("y", window, arrays, relu) is None:
        return one_by_one(arrays, window, relu)
    return compute("y", window, arrays, relu)["y"]


def one_by_one(arrays: Arrays, window: Window, relu: bool) -> jax.Array:
    own = {name: arrays[name] for name in ("x", "weights", "bias") if name in arrays}
    rest = {name: arrays[name] for name in arrays if name not in own}
    return finished(correlate_on_cpu(own, window, False), rest, relu)


def at_once_forward(arrays: Arrays, window: Window, relu: bool) -> tuple[jax.Array, Callable]:
    return jax.vjp(lambda arrays: one_by_one(arrays, window, relu), arrays)


def at_once_backward(window: Window, relu: bool, back: Callable, gradient: jax.Array) -> tuple:
    return back(gradient)


at_once.defvjp(at_once_forward, at_once_backward)


def finished(y: jax.Array, after: Arrays, relu: bool) -> jax.Array:
    """Returns y after what `correlate` does to a correlation."""
    if "bias" in after:
        y = y + spread(after["bias"], y.shape)
    if "scale" in after:
        y = y * spread(after["scale"], y.shape)
    if "shift" in after:
        y = y + spread(after["shift"], y.shape)
    if "shortcut" in after:
        y = y + after["shortcut"]
    return jax.nn.relu(y) if relu else y


def compute(wanted: str, window: Window, arrays: Arrays, relu: bool = False) -> Arrays:
    """Returns "y", or the gradient of "x", or of "weights" and "bias", by what is quickest."""
    exact = partial(complete, wanted, PLAIN[wanted], window, relu)
    quick = by_onednn(wanted, window, arrays, relu) or by_form(wanted, window, arrays, relu)
    return lax.platform_dependent(arrays, cpu=quick, default=exact) if quick else exact(arrays)


def complete(
    wanted: str, product: forms.Form, window: Window, relu: bool, arrays: Arrays
) -> Arrays:
    """Returns what is wanted, by a form that computes the product alone."""
    names = ("x", "weights") if wanted == "y" else ("x", "weights", "y")
    found = product(window, *(arrays[name] for name in names))
    if wanted == "y":
        found = finished(found, arrays, relu)
    return {wanted: found} | gradient_of_bias(wanted, arrays)


def gradient_of_bias(wanted: str, arrays: Arrays) -> Arrays:
    """Returns what goes with the gradient of the weights: the sum of that of the result."""
    asked = wanted == "weights" and "bias" in arrays
    return {"bias": channel_sum(arrays["y"])} if asked else {}


def by_form(wanted: str, window: Window, arrays: Arrays, relu: bool = False) -> Program | None:
    """Returns what computes it in one of the `forms`, if one is quicker than XLA's operation."""
    x, weights, y = shapes(window, arrays)
    if wanted == "y":
        form = forms.form(window, x.shape[1:-1], weights.shape, y.shape[1:-1])
    elif wanted == "x":
        form = forms.form_to_x(window, x, weights, y)
    else:
        form = forms.form_to_weights(window, x, weights, y)
    return form and partial(complete, wanted, form, window, relu)


def shapes(window: Window, arrays: Arrays) -> tuple:
    """Returns x, weights and y, or what tells their shapes and dtypes."""
    x, weights = arrays["x"], arrays["weights"]
    y = arrays["y"] if "y" in arrays else jax.eval_shape(partial(forms.plain, window), x, weights)
    return x, weights, y


def by_onednn(wanted: str, window: Window, arrays: Arrays, relu: bool = False) -> Program | None:
    """Returns what computes it by oneDNN, if that is quicker.

    The matrix products of XLA are as quick where a window is one pixel, unless something follows.
    Where there are few outputs the weights are larger than images, and oneDNN takes longer to
    rearrange than to multiply them.
    """
    x, weights, y = shapes(window, arrays)
    then = tuple(name for name in AFTER if name in arrays and wanted == "y") + ("relu",) * relu
    pointwise = math.prod(weights.shape[:-2]) == 1 and window.groups == 1
    alone = wanted != "weights" and not set(then) - {"bias"}
    few = math.prod(y.shape[:-1]) < FEW
    if (pointwise and alone) or (few and wanted != "x"):
        return None
    if any(array.dtype != jnp.float32 or array.size == 0 for array in (*arrays.values(), y)):
        return None
    convolution = onednn.Convolution(wanted, x.shape, weights.shape, y.shape, *window, then)
    if min(map(min, window.padding)) < 0 or not onednn.computes(convolution):
        return None
    return partial(once_differentiable, convolution, window)


def once_differentiable(convolution: onednn.Convolution, window: Window, arrays: Arrays) -> Arrays:
    """Returns what oneDNN computes of the arrays; its derivatives are those of XLA's operation."""
    wanted = convolution.wanted

    def exact(arrays: Arrays) -> jax.Array:
        relu = "relu" in convolution.then
        return complete(wanted, PLAIN[wanted], window, relu, arrays)[wanted]

    @jax.custom_jvp
    def computed(arrays: Arrays) -> jax.Array:
        return onednn.convolve(convolution, arrays)

    @computed.defjvp
    def derivative(primals: tuple[Arrays], tangents: tuple[Arrays]) -> tuple[jax.Array, jax.Array]:
        return computed(*primals), jax.jvp(exact, primals, tangents)[1]

    return {wanted: computed(arrays)} | gradient_of_bias(wanted, arrays)
