"""The forms that a correlation and its gradients take where XLA is slow at its own.

XLA on a CPU packs the pixels of windows into a matrix and multiplies that. Where it does so badly,
the same products take another form (times on two cores of an Intel Xeon, jax 0.10.2; docs/speed.md
has more):

- A window of more pixels than the map that it slides over, as in the last stage of a ResNet for
  small images, takes a plain loop: 168 ms for 3x3 over 2x2 of 512 channels. The pixels of each
  window are gathered into a row instead: 3.8 ms. So they are of a single channel.
- With few features, packing takes longer than multiplying. Several neighbours in a row are computed
  at once: 1.5 ms instead of 4.1 for the first layer of LeNet-5.
- The gradient of the weights contracts over the batch, for which x and the gradient of the result
  are transposed. XLA computes what both are made of anew inside of these transpositions, in the
  order of memory that suits it least: they took half of the training step of resnet20. `apart`
  keeps it out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.layers.apart import apart
from cnnjax.layers.window import Window

Shape = Sequence[int]
# What computes a correlation or one of its gradients, of the window and the arrays.
Form = Callable[..., jax.Array]

# Features that a product should have at a time.
WIDE = 32


def plain(window: Window, x: jax.Array, weights: jax.Array) -> jax.Array:
    letters = "DHW"[-(x.ndim - 2) :]
    return lax.conv_general_dilated(
        x,
        weights,
        window_strides=window.stride,
        padding=window.padding,
        rhs_dilation=window.dilation,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        feature_group_count=window.groups,
    )


def plain_to_x(window: Window, x: jax.Array, weights: jax.Array, gradient: jax.Array) -> jax.Array:
    return jax.vjp(lambda x: plain(window, x, weights), x)[1](gradient)[0]


def plain_to_weights(
    window: Window, x: jax.Array, weights: jax.Array, gradient: jax.Array
) -> jax.Array:
    return jax.vjp(lambda weights: plain(window, x, weights), weights)[1](gradient)[0]


def form(
    window: Window, sizes: Sequence[int], weights: Sequence[int], outputs: Sequence[int]
) -> Form | None:
    """Returns what computes a correlation of such shapes quicker than `plain` on a CPU, if any."""
    if window.groups > 1:
        return None
    *kernel, channels, features = weights
    if crowded(kernel, sizes):
        return gathered
    if window.stride[-1] == window.dilation[-1] == 1:
        together = [n for n in range(2, WIDE // features + 1) if outputs[-1] % n == 0]
        if together:
            return partial(widened, together[-1])
    return gathered if channels == 1 else None


def crowded(kernel: Sequence[int], sizes: Sequence[int]) -> bool:
    """Returns whether XLA:CPU takes its plain loop."""
    return math.prod(kernel) > math.prod(sizes)


def gathered(window: Window, x: jax.Array, weights: jax.Array) -> jax.Array:
    """Correlates as one matrix product."""
    rows = pixels(window, x, weights.shape[:-2])
    matrix = weights.reshape(-1, weights.shape[-1])
    return lax.dot_general(rows, matrix, (((rows.ndim - 1,), (0,)), ((), ())))


def pixels(window: Window, x: jax.Array, kernel: Sequence[int]) -> jax.Array:
    """Returns what each window sees, (batch, *outputs, prod(kernel) * channels)."""
    x = padded(x, [(*widths, 0) for widths in window.padding])
    lengths = [
        (n - (k - 1) * d - 1) // s * s + 1
        for n, k, s, d in zip(x.shape[1:-1], kernel, window.stride, window.dilation, strict=True)
    ]
    taps = []
    for tap in itertools.product(*map(range, kernel)):
        start = [i * d for i, d in zip(tap, window.dilation, strict=True)]
        end = [first + length for first, length in zip(start, lengths, strict=True)]
        stride = (1, *window.stride, 1)
        taps.append(lax.slice(x, (0, *start, 0), (x.shape[0], *end, x.shape[-1]), stride))
    return jnp.concatenate(taps, -1)


def padded(x: jax.Array, widths: Sequence[tuple[int, int, int]]) -> jax.Array:
    """Returns x with zeros before, after and between its pixels; negative widths cut."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *widths, (0, 0, 0)])


def widened(together: int, window: Window, x: jax.Array, weights: jax.Array) -> jax.Array:
    """Correlates for so many neighbours in a row at once, with weights as much wider.

    The weights of each neighbour are zero where the window of another ends.
    """
    widths = [(0, 0)] * weights.ndim
    shifted = []
    for i in range(together):
        widths[-3] = (i, together - 1 - i)
        shifted.append(jnp.pad(weights, widths))
    stride = (*window.stride[:-1], together)
    result = plain(window._replace(stride=stride), x, jnp.concatenate(shifted, -1))
    *others, width, features = result.shape
    return result.reshape(*others, width * together, features // together)


def form_to_x(window: Window, x: jax.Array, weights: jax.Array, gradient: jax.Array) -> Form | None:
    """Returns a quick form for the gradient of x, if any.

    It is a correlation of the other gradient, whose pixels lie a stride apart.
    """
    *kernel, channels, features = weights.shape
    sizes = x.shape[1:-1]
    dense = window._replace(stride=(1,) * len(sizes))
    quick = form(dense, gradient.shape[1:-1], (*kernel, features, channels), sizes)
    return None if quick is None else partial(gradient_of_x, quick)


def gradient_of_x(
    form: Form,
    window: Window,
    x: jax.Array,
    weights: jax.Array,
    gradient: jax.Array,
) -> jax.Array:
    """Returns it as the gradient of the result, spread out, under the flipped window, by `form`."""
    kernel, ones = weights.shape[:-2], (1,) * (x.ndim - 2)
    widths = []
    for n, outputs, k, s, d, (before, _) in zip(
        x.shape[1:-1], gradient.shape[1:-1], kernel, window.stride, window.dilation, window.padding,
        strict=True,
    ):  # fmt: skip
        reach = (k - 1) * d
        widths.append((reach - before, n + before - (outputs - 1) * s - 1, s - 1))
    flipped = jnp.flip(weights, range(len(kernel))).swapaxes(-1, -2)
    none = tuple((0, 0) for _ in kernel)
    return form(Window(ones, none, window.dilation), padded(gradient, widths), flipped)


def form_to_weights(
    window: Window, x: jax.Array, weights: jax.Array, gradient: jax.Array
) -> Form | None:
    """Returns a quick form for the gradient of the weights, if any."""
    if window.groups > 1:
        return None
    product = pixels_by_gradient if crowded(gradient.shape[1:-1], x.shape[1:-1]) else by_channels
    return partial(unmerged, product)


def pixels_by_gradient(window: Window, x: jax.Array, kernel: Shape, gradient: jax.Array):
    """Returns the gradient of the weights as one matrix product."""
    places = tuple(range(x.ndim - 1))
    rows = pixels(window, x, kernel)
    product = lax.dot_general(rows, gradient, ((places, places), ((), ())))
    return product.reshape(*kernel, x.shape[-1], gradient.shape[-1])


def by_channels(window: Window, x: jax.Array, kernel: Shape, gradient: jax.Array):
    """Returns the gradient of the weights as a correlation of the gradient with x over the batch.

    The batch takes the place of the channels, and the channels that of the batch.
    """
    widths, cuts = [], []
    for n, outputs, k, s, d, (before, _) in zip(
        x.shape[1:-1], gradient.shape[1:-1], kernel, window.stride, window.dilation, window.padding,
        strict=True,
    ):  # fmt: skip
        after = (k - 1) * d + (outputs - 1) * s + 1 - n - before
        widths.append((before, max(after, 0)))
        cuts.append((0, min(after, 0), 0))
    images = jnp.swapaxes(padded(x, cuts), 0, -1)
    filters = jnp.moveaxis(gradient, 0, -2)
    result = plain(Window(window.dilation, tuple(widths), window.stride), images, filters)
    return jnp.moveaxis(result, 0, -2)


def unmerged(
    product: Callable[..., jax.Array],
    window: Window,
    x: jax.Array,
    weights: jax.Array,
    gradient: jax.Array,
) -> jax.Array:
    """Returns the gradient of the weights by `product`, kept apart."""

    def taken(x: jax.Array, gradient: jax.Array) -> jax.Array:
        return product(window, x, weights.shape[:-2], gradient)

    return apart(taken, weights.shape, x, gradient)
