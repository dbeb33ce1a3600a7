"""Correlations and their gradients, each of the three by the program that is quickest.

They are computed by oneDNN, where it is there and quicker, or else take one of the `forms`, or stay
with XLA's operation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax import onednn, parallel
from cnnjax.kernels import door
from cnnjax.kernels.door import Window, kernel
from cnnjax.kernels.sums import channel_sum, spread

# Arrays by name: "x", "weights", the result or its gradient "y", and what follows the result:
# "bias", "scale", "shift", "shortcut".
Arrays = dict[str, jax.Array]
Plain = Callable[..., jax.Array]


def correlated(plain: Plain, arrays: Arrays, *, window: Window, relu: bool) -> jax.Array:
    """Returns the correlation and what follows it, each direction by what is quickest."""
    weights = arrays["weights"]
    ones = (1,) * (weights.ndim - 2)
    if weights.shape[:-2] == ones and not any(map(any, window.padding)):
        steps = (slice(None, None, stride) for stride in window.stride)
        arrays = arrays | {"x": arrays["x"][:, *steps]}
        window = window._replace(stride=ones)
    arrays = dict(zip(arrays, parallel.alike(*arrays.values()), strict=True))
    if arrays.keys() - {"x", "weights", "bias"}:
        return at_once(arrays, plain, window, relu)
    if relu and by_onednn("y", plain, arrays, window, relu) is None:
        return jax.nn.relu(in_both_directions(arrays, plain, window, False))
    return in_both_directions(arrays, plain, window, relu)


def by_onednn(wanted: str, plain: Plain, arrays: Arrays, window: Window, relu: bool = False):
    return door.program("product_by_onednn", plain, arrays, wanted=wanted, window=window, relu=relu)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def in_both_directions(arrays: Arrays, plain: Plain, window: Window, relu: bool) -> jax.Array:
    """Returns the correlation, with its bias if there is one."""
    return compute("y", plain, window, arrays, relu)["y"]


def forward(arrays: Arrays, plain: Plain, window: Window, relu: bool) -> tuple[jax.Array, tuple]:
    y = compute("y", plain, window, arrays, relu)["y"]
    return y, (arrays, y if relu else None)


def backward(
    plain: Plain, window: Window, relu: bool, kept: tuple, gradient: jax.Array
) -> tuple[Arrays]:
    arrays, y = kept
    arrays = {**arrays, "y": jnp.where(y > 0, gradient, 0) if relu else gradient}
    return (compute("x", plain, window, arrays) | compute("weights", plain, window, arrays),)


in_both_directions.defvjp(forward, backward)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def at_once(arrays: Arrays, plain: Plain, window: Window, relu: bool) -> jax.Array:
    """Returns the correlation and all that follows it, in one pass where no gradient is taken."""
    if by_onednn("y", plain, arrays, window, relu) is None:
        return one_by_one(arrays, plain, window, relu)
    return compute("y", plain, window, arrays, relu)["y"]


def one_by_one(arrays: Arrays, plain: Plain, window: Window, relu: bool) -> jax.Array:
    own = {name: arrays[name] for name in ("x", "weights", "bias") if name in arrays}
    rest = {name: arrays[name] for name in arrays if name not in own}
    return finished(in_both_directions(own, plain, window, False), rest, relu)


def at_once_forward(
    arrays: Arrays, plain: Plain, window: Window, relu: bool
) -> tuple[jax.Array, Callable]:
    return jax.vjp(lambda arrays: one_by_one(arrays, plain, window, relu), arrays)


def at_once_backward(
    plain: Plain, window: Window, relu: bool, back: Callable, gradient: jax.Array
) -> tuple:
    return back(gradient)


at_once.defvjp(at_once_forward, at_once_backward)


def finished(y: jax.Array, after: Arrays, relu: bool) -> jax.Array:
    """Returns y after what follows a correlation."""
    if "bias" in after:
        y = y + spread(after["bias"], shape=y.shape)
    if "scale" in after:
        y = y * spread(after["scale"], shape=y.shape)
    if "shift" in after:
        y = y + spread(after["shift"], shape=y.shape)
    if "shortcut" in after:
        y = y + after["shortcut"]
    return jax.nn.relu(y) if relu else y


def compute(
    wanted: str, plain: Plain, window: Window, arrays: Arrays, relu: bool = False
) -> Arrays:
    """Returns "y", or the gradient of "x", or of "weights" and "bias", by what is quickest."""
    exact = partial(complete, wanted, None, plain, window, relu)
    quick = door.program("product", plain, arrays, wanted=wanted, window=window, relu=relu)
    return lax.platform_dependent(arrays, cpu=quick, default=exact) if quick else exact(arrays)


def complete(
    wanted: str, form: Callable | None, plain: Plain, window: Window, relu: bool, arrays: Arrays
) -> Arrays:
    """Returns what is wanted, by a form that computes the product alone; None: by the plain one."""
    product = partial(plain_product, plain)
    x, weights = arrays["x"], arrays["weights"]
    if wanted == "y":
        found = (form or call)(product, window, x, weights)
        return {"y": finished(found, arrays, relu)}
    form = form or {"x": plain_to_x, "weights": plain_to_weights}[wanted]
    return {wanted: form(product, window, x, weights, arrays["y"])} | gradient_of_bias(
        wanted, arrays
    )


def plain_product(plain: Plain, window: Window, x: jax.Array, weights: jax.Array) -> jax.Array:
    return plain({"x": x, "weights": weights}, window=window, relu=False)


def call(product: Callable, window: Window, x: jax.Array, weights: jax.Array) -> jax.Array:
    return product(window, x, weights)


def plain_to_x(
    product: Callable, window: Window, x: jax.Array, weights: jax.Array, gradient: jax.Array
) -> jax.Array:
    return jax.vjp(lambda x: product(window, x, weights), x)[1](gradient)[0]


def plain_to_weights(
    product: Callable, window: Window, x: jax.Array, weights: jax.Array, gradient: jax.Array
) -> jax.Array:
    return jax.vjp(lambda weights: product(window, x, weights), weights)[1](gradient)[0]


def gradient_of_bias(wanted: str, arrays: Arrays) -> Arrays:
    """Returns what goes with the gradient of the weights: the sum of that of the result."""
    asked = wanted == "weights" and "bias" in arrays
    return {"bias": channel_sum(arrays["y"])} if asked else {}


@kernel
def computed_by_onednn(
    convolution: onednn.Convolution, plain: Plain, window: Window, arrays: Arrays
) -> Arrays:
    """Computes by oneDNN; derivatives of what it computes are those of the plain operation.

    The step of resnet20 takes 250 ms instead of 346, and the parts of it that follow a convolution
    in evaluation 60.3 ms instead of 63.5 (two cores of AMD EPYCs).
    """
    wanted = convolution.wanted

    def exact(arrays: Arrays) -> jax.Array:
        relu = "relu" in convolution.then
        return complete(wanted, None, plain, window, relu, arrays)[wanted]

    @jax.custom_jvp
    def computed(arrays: Arrays) -> jax.Array:
        return onednn.convolve(convolution, arrays)

    @computed.defjvp
    def derivative(primals: tuple[Arrays], tangents: tuple[Arrays]) -> tuple[jax.Array, jax.Array]:
        return computed(*primals), jax.jvp(exact, primals, tangents)[1]

    return {wanted: computed(arrays)} | gradient_of_bias(wanted, arrays)
