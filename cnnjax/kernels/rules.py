"""Which kernel an operation takes, by its shapes: all that was measured, in one place.

Each rule has the name of its operation, and is given its plain function, arrays and facts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax import compiler, onednn, threefry
from cnnjax.kernels import correlation, forms, masks, moments, pooling, residual, sums
from cnnjax.kernels.correlation import Arrays
from cnnjax.kernels.door import Program, Window, rule, rule_on_cpu

Plain = Callable[..., Any]

# Positions below which the parts of a sum would only cost, and below which a product would.
FEW_POSITIONS, VERY_FEW_POSITIONS = 512, 64
# Pixels of a window up to which it is reduced pairwise.
FEW_PIXELS = 9
# Channels from which on the tiles of a max-pool are quicker: with 6 they take 1.28 times the time.
MANY_CHANNELS = 16
# Features that a product should have at a time.
WIDE = 32
# Outputs, of all images together, below which oneDNN rearranges weights longer than it multiplies.
FEW_OUTPUTS = 256
# What may follow a correlation, in this order.
AFTER = ("bias", "scale", "shift", "shortcut")


@rule_on_cpu
def channel_sum(plain: Plain, x: jax.Array) -> Program | None:
    positions = x.size // x.shape[-1] if x.shape[-1] else 0
    if positions >= FEW_POSITIONS and positions % sums.PARTS == 0:
        return sums.summed_in_parts
    if VERY_FEW_POSITIONS <= positions < FEW_POSITIONS:
        return sums.summed_by_product
    return None


@rule_on_cpu
def spread(plain: Plain, per_channel: jax.Array, *, shape: tuple[int, ...]) -> Program:
    return partial(sums.spread_with_quick_gradient, shape=shape)


@rule_on_cpu
def square_sum(plain: Plain, x: jax.Array) -> Program | None:
    return sums.squares_in_rows if x.size % sums.ROW == 0 else None


@rule_on_cpu
def normalised(plain: Plain, *arrays: jax.Array, **facts: Any) -> Program:
    return partial(moments.normalised_in_two_sums, plain, **facts)


@rule_on_cpu
def activated_sum(plain: Plain, x: jax.Array, shortcut: jax.Array, *, act: str) -> Program | None:
    alike = x.dtype == shortcut.dtype and jnp.issubdtype(x.dtype, jnp.floating)
    return residual.relu_kept if act == "relu" and alike else None


@rule_on_cpu
def bernoulli(
    plain: Plain, keys: jax.Array, probability: jax.Array, *, shape: tuple[int, ...]
) -> Program | None:
    return partial(masks.bernoulli_in_one_pass, shape=shape) if threefry.is_of(keys) else None


@rule
def added(plain: Plain, x: jax.Array, **windows: Any) -> Program | None:
    few = math.prod(windows["size"]) <= FEW_PIXELS
    return partial(pooling.added_pairwise, **windows) if few else None


@rule
def largest(plain: Plain, x: jax.Array, **windows: Any) -> Program:
    size = windows["size"]
    few = math.prod(size) <= FEW_PIXELS
    pool = partial(pooling.largest_pairwise if few else plain, **windows)
    if not (compiler.rewrites() and jnp.issubdtype(x.dtype, jnp.floating)):
        return pool
    tiles = size == windows["stride"] and not any(map(any, windows["padding"]))
    if tiles and 1 < math.prod(size) <= FEW_PIXELS and x.shape[-1] >= MANY_CHANNELS:
        return partial(pooling.largest_of_tiles, pool, size=size)
    return partial(pooling.largest_apart, pool)


@rule_on_cpu
def correlated(plain: Plain, arrays: Arrays, **facts: Any) -> Program:
    return partial(correlation.correlated, plain, **facts)


@rule
def product(
    plain: Plain, arrays: Arrays, *, wanted: str, window: Window, relu: bool
) -> Program | None:
    """Chooses what computes "y", or the gradient of "x", or of "weights"."""
    quick = product_by_onednn(plain, arrays, wanted=wanted, window=window, relu=relu)
    if quick is not None:
        return quick
    form = FORMS[wanted](window, *shapes(plain, arrays, window))
    return form and partial(correlation.complete, wanted, form, plain, window, relu)


def shapes(plain: Plain, arrays: Arrays, window: Window) -> tuple:
    """Returns x, weights and y, or what tells their shapes and dtypes."""
    x, weights = arrays["x"], arrays["weights"]
    product = partial(correlation.plain_product, plain, window)
    return x, weights, arrays["y"] if "y" in arrays else jax.eval_shape(product, x, weights)


@rule
def product_by_onednn(
    plain: Plain, arrays: Arrays, *, wanted: str, window: Window, relu: bool
) -> Program | None:
    """Chooses oneDNN where it is quicker.

    The matrix products of XLA are as quick where a window is one pixel, unless something follows.
    Where there are few outputs the weights are larger than images, and oneDNN takes longer to
    rearrange than to multiply them.
    """
    x, weights, y = shapes(plain, arrays, window)
    then = tuple(name for name in AFTER if name in arrays and wanted == "y") + ("relu",) * relu
    pointwise = math.prod(weights.shape[:-2]) == 1 and window.groups == 1
    alone = wanted != "weights" and not set(then) - {"bias"}
    few = math.prod(y.shape[:-1]) < FEW_OUTPUTS
    if (pointwise and alone) or (few and wanted != "x"):
        return None
    if any(array.dtype != jnp.float32 or array.size == 0 for array in (*arrays.values(), y)):
        return None
    convolution = onednn.Convolution(wanted, x.shape, weights.shape, y.shape, *window, then)
    if min(map(min, window.padding)) < 0 or not onednn.computes(convolution):
        return None
    return partial(correlation.computed_by_onednn, convolution, plain, window)


def form(
    window: Window, sizes: Sequence[int], weights: Sequence[int], outputs: Sequence[int]
) -> Callable | None:
    """Returns what computes a correlation of such shapes quicker than XLA's operation, if any."""
    if window.groups > 1:
        return None
    *kernel, channels, features = weights
    if crowded(kernel, sizes):
        return forms.gathered
    if window.stride[-1] == window.dilation[-1] == 1:
        together = [n for n in range(2, WIDE // features + 1) if outputs[-1] % n == 0]
        if together:
            return partial(forms.widened, together[-1])
    return forms.gathered if channels == 1 else None


def crowded(kernel: Sequence[int], sizes: Sequence[int]) -> bool:
    """Returns whether XLA:CPU takes its plain loop."""
    return math.prod(kernel) > math.prod(sizes)


def form_of_y(window: Window, x: Any, weights: Any, y: Any) -> Callable | None:
    return form(window, x.shape[1:-1], weights.shape, y.shape[1:-1])


def form_of_x(window: Window, x: Any, weights: Any, y: Any) -> Callable | None:
    """Returns a quick form for the gradient of x, if any.

    It is a correlation of the other gradient, whose pixels lie a stride apart.
    """
    *kernel, channels, features = weights.shape
    sizes = x.shape[1:-1]
    dense = window._replace(stride=(1,) * len(sizes))
    quick = form(dense, y.shape[1:-1], (*kernel, features, channels), sizes)
    return quick and partial(forms.gradient_of_x, quick)


def form_of_weights(window: Window, x: Any, weights: Any, y: Any) -> Callable | None:
    """Returns a quick form for the gradient of the weights, if any."""
    if window.groups > 1:
        return None
    many = crowded(y.shape[1:-1], x.shape[1:-1])
    return partial(forms.gradient_of_weights_apart, forms.by_pixels if many else forms.by_channels)


FORMS = {"x": form_of_x, "weights": form_of_weights, "y": form_of_y}
