"""Requirements 1.2: padding, stride and output sizes, against what is executed."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import compiler, convolution, layers
from cnnjax.verification.check import Check, Outcome, above, close, equal


def executed(layer: Callable, shape: Sequence[int]) -> tuple[int, ...]:
    """Returns the shape that `layer` gives to one image of `shape`, traced, not computed."""
    return jax.eval_shape(layer, jnp.zeros((1, *shape))).shape[1:]


def convolution_of(
    features: int, kernel, stride: Any = 1, padding: Any = "valid", layer: Any = layers.Conv
) -> Callable:
    """Returns a convolution layer with weights of its own as a function of images."""
    module = layer(features, kernel, stride, padding)
    return lambda x: module.init_with_output(jax.random.key(0), x)[0]


def disagreements(output_size, cases) -> Outcome:
    """Compares sizes promised with those of XLA's own convolution."""

    def run(x, w, stride, padding):
        return jax.lax.conv_general_dilated(x, w, (stride,), [(padding, padding)])

    wrong, count = [], 0
    for n, k, p, s in cases:
        x, w = jnp.zeros((1, 1, n)), jnp.zeros((1, 1, k))
        size = jax.eval_shape(lambda x, w, s=s, p=p: run(x, w, s, p), x, w).shape[-1]
        count += 1
        if output_size(n, k, p, s) != size:
            wrong.append((n, k, p, s))
    return Outcome(f"{count} sizes as executed", f"{count - len(wrong)} as executed", not wrong)


def no_padding(output_size=convolution.output_size) -> Outcome:
    return equal({"6, 3": 4}, {"6, 3": output_size(6, 3)})


def one_padded(output_size=convolution.output_size, pad=convolution.pad) -> Outcome:
    computed = {"6, 3, p=1": output_size(6, 3, p=1), "padded": pad(np.ones(6), 1).shape[0]}
    return equal({"6, 3, p=1": 6, "padded": 8}, computed)


def strided(output_size=convolution.output_size) -> Outcome:
    cases = itertools.product(range(5, 15), range(1, 6), (0,), range(1, 5))
    return disagreements(output_size, cases)


def padded_and_strided(output_size=convolution.output_size) -> Outcome:
    cases = itertools.product(range(3, 12, 2), range(1, 4), range(4), range(1, 4))
    return disagreements(output_size, cases)


def forty_filters(output_size=convolution.output_size, conv=layers.Conv) -> Outcome:
    shape = executed(convolution_of(40, 5, layer=conv), (128, 128, 3))
    computed = {"side": output_size(128, 5), "maps": shape}
    return equal({"side": 124, "maps": (124, 124, 40)}, computed)


def not_square(output_shape=convolution.output_shape, conv=layers.Conv) -> Outcome:
    layer = convolution_of(1, (3, 5), (2, 1), 1, conv)
    computed = {
        "7x9 by 3x5": output_shape((7, 9), (3, 5)),
        "p=1, s=(2, 1)": output_shape((7, 9), (3, 5), 1, (2, 1)),
        "executed": executed(layer, (7, 9, 1))[:2],
    }
    return equal({"7x9 by 3x5": (5, 5), "p=1, s=(2, 1)": (4, 7), "executed": (4, 7)}, computed)


def padding_values(pad=convolution.pad) -> Outcome:
    image = np.array([[1.0, 2], [3, 4]])
    expected = {
        "zero": [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0], [0, 0, 0, 0]],
        "same value": [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]],
    }
    computed = {"zero": pad(image, 1).tolist(), "same value": pad(image, 1, "nearest").tolist()}
    return equal(expected, computed)


def valid_and_same(conv=layers.Conv, padding_widths=convolution.padding_widths) -> Outcome:
    sizes = {
        f"{padding}, stride {s}": [
            executed(convolution_of(1, 3, s, padding, conv), (n, n, 1))[0] for n in (6, 7)
        ]
        for padding, s in (("valid", 1), ("same", 1), ("same", 2), ("same", 3))
    }
    module = conv(1, (3,), 2, "same", use_bias=False)
    weights = {"params": {"kernel": jnp.ones((3, 1, 1))}}
    sums = jnp.asarray(module.apply(weights, jnp.ones((1, 6, 1))))
    computed = {
        **sizes,
        "widths of 6 by 3, stride 2": padding_widths(6, 3, "same", 2),
        "sums of ones": sums.ravel().tolist(),
    }
    expected = {
        "valid, stride 1": [4, 5],
        "same, stride 1": [6, 7],
        "same, stride 2": [math.ceil(n / 2) for n in (6, 7)],
        "same, stride 3": [math.ceil(n / 3) for n in (6, 7)],
        "widths of 6 by 3, stride 2": (0, 1),
        "sums of ones": [3, 3, 2],
    }
    return equal(expected, computed)


def default_stride(
    output_size=convolution.output_size,
    feature_maps=convolution.feature_maps,
    conv=layers.Conv,
) -> Outcome:
    computed = {
        "formula": inspect.signature(output_size).parameters["s"].default,
        "function": inspect.signature(feature_maps).parameters["stride"].default,
        "layer": conv(1).stride,
    }
    return equal(dict.fromkeys(computed, 1), computed)


def larger_stride(conv=layers.Conv) -> Outcome:
    sizes = [executed(convolution_of(1, 3, s, layer=conv), (28, 28, 1))[0] for s in range(1, 8)]
    return equal([26, 13, 9, 7, 6, 5, 4], sizes)


def pooled_4x4(pool=layers.max_pool) -> Outcome:
    image = jnp.array([[1.0, 3, 2, 1], [4, 6, 5, 0], [7, 2, 9, 8], [0, 1, 3, 4]])
    found = pool(image[None, ..., None], 2, 2)[0, ..., 0]
    return close([[6, 5], [7, 9]], found)


def mnist_chain(conv=layers.Conv, pool=layers.max_pool) -> Outcome:
    steps = (
        convolution_of(32, 3, layer=conv),
        pool,
        convolution_of(64, 3, layer=conv),
        pool,
        convolution_of(64, 3, layer=conv),
    )
    shapes: list[tuple[int, ...]] = [(28, 28, 1)]
    for step in steps:
        shapes.append(executed(step, shapes[-1]))
    trace = [shape[0] for shape in shapes] + [math.prod(shapes[-1])]
    return equal([28, 26, 13, 11, 5, 3, 576], trace)


def border_information(feature_maps=convolution.feature_maps) -> Outcome:
    """How much a pixel of the border moves the output, against one of the middle."""
    rng = np.random.default_rng(0)
    filters = [rng.normal(size=(3, 3, c, m)) / np.sqrt(9 * c) for c, m in ((1, 8), (8, 8), (8, 8))]
    images = rng.normal(size=(16, 12, 12, 1))

    def energy(image, padding):
        for stack in filters:
            image = jax.nn.relu(feature_maps(image, stack, padding=padding))
        return (image**2).sum()

    def border_over_middle(padding):
        slope = jax.grad(lambda batch: jax.vmap(lambda image: energy(image, padding))(batch).sum())
        power = np.asarray(compiler.jit(slope)(images) ** 2).mean((0, -1))
        return power[:, 0].mean() / power[:, 4:8].mean()

    return above(2, border_over_middle("same") / border_over_middle("valid"))


CHECKS = (
    Check("P01", "S0", "no padding: n - k + 1", no_padding),
    Check("P02", "S0", "padding p: n - k + 2p + 1; 6 becomes 8 and stays 6", one_padded),
    Check("P03", "S0", "stride s: floor((n - k) / s) + 1", strided),
    Check("P04", "S0,S1", "both: floor((n - k + 2p) / s) + 1", padded_and_strided),
    Check("P05", "S1", "128x128x3, 40 filters of 5x5: 124x124x40", forty_filters),
    Check("P06", "S1", "height and width each by its own formula", not_square),
    Check("P07", "S0", "zero padding and same-value padding", padding_values),
    Check("P08", "S1", "valid pads nothing; same keeps the size", valid_and_same),
    Check("P09", "S1", "the default stride is 1", default_stride),
    Check("P10", "S2", "a larger stride gives a smaller map", larger_stride),
    Check("P11", "S0,S2", "2x2 max-pooling of 4x4, stride 2: 2x2 maxima", pooled_4x4),
    Check("P12", "S4", "MNIST: 28, 26, 13, 11, 5 (of 11 / 2), 3, 576", mnist_chain),
    Check("P13", "S1", "padding keeps what the border tells", border_information),
)
