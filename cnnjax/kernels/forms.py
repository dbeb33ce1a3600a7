"""The forms that a correlation and its gradients take where XLA is slow at its own.

XLA on a CPU packs the pixels of windows into a matrix and multiplies that. Where it does so badly,
the same products take another form. They are for machines without oneDNN, and for other types than
float32. `product` is the plain correlation, (window, x, weights) -> y.

Times are of two cores of an Intel Xeon, jax 0.10.2; docs/speed.md has more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.kernels.apart import apart
from cnnjax.kernels.door import Window, kernel

Shape = Sequence[int]
Product = Callable[[Window, jax.Array, jax.Array], jax.Array]
# `by_pixels` or `by_channels`.
OfWeights = Callable[..., jax.Array]


@kernel
def gathered(product: Product, window: Window, x: jax.Array, weights: jax.Array) -> jax.Array:
    """Correlates as one matrix product, of the pixels of each window gathered into a row.

    For a window of more pixels than the map that it slides over, as in the last stage of a ResNet
    for small images, where XLA takes a plain loop: 3.8 ms instead of 168 for 3x3 over 2x2 of 512
    channels. So for a single channel.
    """
    rows = pixels(window, x, weights.shape[:-2])
    matrix = weights.reshape(-1, weights.shape[-1])
    return lax.dot_general(rows, matrix, (((rows.ndim - 1,), (0,)), ((), ())))


def pixels(window: Window, x: jax.Array, kernel: Shape) -> jax.Array:
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


@kernel
def widened(
    together: int, product: Product, window: Window, x: jax.Array, weights: jax.Array
) -> jax.Array:
    """Correlates for so many neighbours in a row at once, with weights as much wider.

    The weights of each neighbour are zero where the window of another ends. With few features,
    packing takes longer than multiplying: 1.5 ms instead of 4.1 for the first layer of LeNet-5.
    """
    widths = [(0, 0)] * weights.ndim
    shifted = []
    for i in range(together):
        widths[-3] = (i, together - 1 - i)
        shifted.append(jnp.pad(weights, widths))
    stride = (*window.stride[:-1], together)
    result = product(window._replace(stride=stride), x, jnp.concatenate(shifted, -1))
    *others, width, features = result.shape
    return result.reshape(*others, width * together, features // together)


def gradient_of_x(
    form: Callable[..., jax.Array],
    product: Product,
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
    return form(product, Window(ones, none, window.dilation), padded(gradient, widths), flipped)


@kernel
def gradient_of_weights_apart(
    form: OfWeights,
    product: Product,
    window: Window,
    x: jax.Array,
    weights: jax.Array,
    gradient: jax.Array,
) -> jax.Array:
    """Computes the gradient of the weights by `form`, kept apart.

    It contracts over the batch, for which x and the gradient of the result are transposed. XLA
    computes what both are made of anew inside of these transpositions, in the order of memory that
    suits it least: the step of resnet20 takes 341 ms instead of 400.
    """

    def taken(x: jax.Array, gradient: jax.Array) -> jax.Array:
        return form(product, window, x, weights.shape[:-2], gradient)

    return apart(taken, weights.shape, x, gradient)


@kernel
def by_pixels(
    product: Product, window: Window, x: jax.Array, kernel: Shape, gradient: jax.Array
) -> jax.Array:
    """Computes the gradient of the weights as one matrix product, as `gathered` does the result.

    For a result of more pixels than x, which would be a window larger than its map: 0.03 of the
    time, 108 ms instead of 4,094, for 2x2 over 128 maps of 2x2 of 512 channels with padding (two
    busy cores of an AMD EPYC).
    """
    places = tuple(range(x.ndim - 1))
    rows = pixels(window, x, kernel)
    product_of_rows = lax.dot_general(rows, gradient, ((places, places), ((), ())))
    return product_of_rows.reshape(*kernel, x.shape[-1], gradient.shape[-1])


@kernel
def by_channels(
    product: Product, window: Window, x: jax.Array, kernel: Shape, gradient: jax.Array
) -> jax.Array:
    """Computes the gradient of the weights as a correlation of the gradient with x over the batch.

    The batch takes the place of the channels, and the channels that of the batch, as XLA does it
    too, but so that `gradient_of_weights_apart` can keep it apart: 341 ms instead of 400.
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
    result = product(Window(window.dilation, tuple(widths), window.stride), images, filters)
    return jnp.moveaxis(result, 0, -2)
