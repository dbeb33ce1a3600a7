"""Requirements 1.4: the layers, each against a sum written out or a property it must have."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cnnjax import compiler, convolution, data, layers, models
from cnnjax.models import resnet
from cnnjax.verification.check import Check, Outcome, below, close, difference, equal


def apply(module: nn.Module, parameters: dict[str, Any], *arguments: Any, **options: Any) -> Any:
    """Returns what `module` makes of the arguments with `parameters`."""
    return module.apply({"params": parameters}, *arguments, **options)


def shapes_within(network: nn.Module, *image: int) -> dict[str, tuple[int, ...]]:
    """Returns the output shape, without the batch, of every direct submodule; computes nothing."""

    def run(images):
        return network.init_with_output(jax.random.key(0), images, capture_intermediates=True)[1]

    found = jax.eval_shape(run, jnp.zeros((1, *image)))["intermediates"]
    return {
        name: layer["__call__"][0].shape[1:]
        for name, layer in found.items()
        if name != "__call__" and "__call__" in layer and layer["__call__"][0] is not None
    }


def inputs(
    normalize=data.normalize, channels_last=convolution.channels_last, build=models.build
) -> Outcome:
    pixels, fifths = np.arange(0, 256, 51, dtype=np.uint8)[None], np.arange(6) / 5
    network = build("first_convnet", classes=10)
    heads = {}
    for word, channels in (("gray", 1), ("colour", 3)):
        heads[word] = shapes_within(network, 28, 28, channels)["head"]
    computed = {
        "scaled to 0, 0.2, ... 1": difference(normalize(pixels)[0], fifths) < 1e-6,
        "(3, 8, 9) channels first": channels_last(np.ones((3, 8, 9)), "channels_first").shape,
        "(8, 9, 3) channels last": channels_last(np.ones((8, 9, 3)), "channels_last").shape,
        "(8, 9) gray": channels_last(np.ones((8, 9))).shape,
        **heads,
    }
    expected = {
        "scaled to 0, 0.2, ... 1": True,
        "(3, 8, 9) channels first": (8, 9, 3),
        "(8, 9, 3) channels last": (8, 9, 3),
        "(8, 9) gray": (8, 9, 1),
        "gray": (10,),
        "colour": (10,),
    }
    return equal(expected, computed)


def convolution_layer(conv=layers.Conv, activations=layers.ACTIVATIONS) -> Outcome:
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(7, 8, 3)), rng.normal(size=(3, 2, 3, 4))
    bias, stride = rng.normal(size=4), (2, 1)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    expected = np.zeros((4, 9, 4))
    for row, column, m in np.ndindex(expected.shape):
        window = padded[row * stride[0] :, column * stride[1] :][:3, :2]
        expected[row, column, m] = max((window * kernel[..., m]).sum() + bias[m], 0)
    layer = conv(4, (3, 2), stride, padding=1)
    found = activations["relu"](apply(layer, {"kernel": kernel, "bias": bias}, image[None]))[0]
    return below(1e-5, difference(found, expected), "difference from loops")


def nonlinearities(activations=layers.ACTIVATIONS) -> Outcome:
    x = jnp.array([-2.0, 0, 0.5])
    values = {name: activations[name](x) for name in ("relu", "tanh", "sigmoid")}
    expected = {"relu": [0, 0, 0.5], "tanh": np.tanh(x), "sigmoid": 1 / (1 + np.exp(-x))}
    rng = np.random.default_rng(0)
    stacks = [rng.normal(size=(3, 3, c, m)) for c, m in ((2, 4), (4, 3))]

    def bend(name):
        def network(image):
            for filters in stacks:
                image = activations[name](convolution.feature_maps(image, filters))
            return np.asarray(image)

        x, y = rng.normal(size=(2, 6, 6, 2))
        both = network(2 * x + 3 * y)
        return difference(both, 2 * network(x) + 3 * network(y)) / np.abs(both).max()

    expected |= {"linear stack is linear": True, "relu stack is not": True}
    values |= {
        "linear stack is linear": bend("linear") < 1e-5,
        "relu stack is not": bend("relu") > 0.1,
    }
    return close(expected, values)


def windows_of(image: np.ndarray) -> np.ndarray:
    """Returns the 2x2 windows of an image as (rows, columns, 4)."""
    rows, columns = (n // 2 for n in image.shape)
    return image.reshape(rows, 2, columns, 2).swapaxes(1, 2).reshape(rows, columns, 4)


def maximum_and_average(maximum=layers.max_pool, average=layers.average_pool) -> Outcome:
    image = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    cut = windows_of(image)
    found = {"max": maximum, "average": average}
    computed = {name: pool(image[None, ..., None], 2)[0, ..., 0] for name, pool in found.items()}
    return close({"max": cut.max(-1), "average": cut.mean(-1)}, computed)


def means(
    harmonic=layers.harmonic_pool,
    geometric=layers.geometric_pool,
    average=layers.average_pool,
    maximum=layers.max_pool,
) -> Outcome:
    pools = (harmonic, geometric, average, maximum)
    pooled = compiler.jit(lambda x: [pool(x, 2) for pool in pools])
    four = [
        float(found.squeeze()) for found in pooled(jnp.array([[1.0, 2], [4, 8]])[None, ..., None])
    ]
    positive = np.random.default_rng(0).lognormal(size=(4, 8, 8, 3)).astype(np.float32)
    ordered = [np.asarray(found) for found in pooled(positive)]

    def both(x):
        return harmonic(x, 2).sum() + geometric(x, 2).sum()

    rough = jnp.array([[0.0, -3], [2, 0]])[None, ..., None]
    value, slope = compiler.jit(jax.value_and_grad(both))(rough)
    finite = bool(jnp.isfinite(value) & jnp.isfinite(slope).all())
    # Of 1, 2, 4 and 8: 4 / (1 + 1/2 + 1/4 + 1/8) = 32/15; the fourth root of 64; 15/4; 8.
    expected = {"H G A max": [32 / 15, 64**0.25, 15 / 4, 8], "ordered": True, "finite at 0": True}
    computed = {
        "H G A max": four,
        "ordered": all((a <= b + 1e-5).all() for a, b in itertools.pairwise(ordered)),
        "finite at 0": finite,
    }
    return close(expected, computed, 1e-5)


def global_average(pool=layers.global_average_pool) -> Outcome:
    images = np.random.default_rng(0).normal(size=(2, 7, 7, 5)).astype(np.float32)
    return below(1e-6, difference(pool(images), images.sum((1, 2)) / 49))


def dense_and_heads(dense=layers.Dense, activations=layers.ACTIVATIONS) -> Outcome:
    rng = np.random.default_rng(0)
    x, kernel, bias = rng.normal(size=(3, 2, 2, 2)), rng.normal(size=(8, 4)), rng.normal(size=4)
    flat = x.reshape(3, -1)
    logits = apply(dense(4), {"kernel": kernel, "bias": bias}, flat)
    shares, alone = activations["softmax"](logits), activations["sigmoid"](logits)
    computed = {
        "flattened": flat.shape,
        "dense": difference(logits, flat @ kernel + bias) < 1e-5,
        "softmax sums to 1": difference(shares.sum(-1), np.ones(3)) < 1e-6,
        "softmax keeps the order": bool((shares.argmax(-1) == logits.argmax(-1)).all()),
        "sigmoid": difference(alone, 1 / (1 + np.exp(-np.asarray(logits)))) < 1e-6,
    }
    return equal({name: True for name in computed} | {"flattened": (3, 8)}, computed)


def normalisation(norms=layers.NORMS) -> Outcome:
    """Which axes each kind brings to mean 0 and variance 1, of (batch, height, width, channels)."""
    axes = {"batch": (0, 1, 2), "group": (1, 2, 4), "layer": (1, 2, 3)}

    @compiler.jit
    def spread(x):
        found = []
        for name in axes:
            bound: Any = norms[name](train=True, axis_name=None, epsilon=1e-5)
            y = bound().init_with_output(jax.random.key(0), x)[0]
            if name == "group":  # 32 groups of neighbouring channels: Wu and He, 2018
                y = y.reshape(8, 5, 5, 32, 2)
            found += [abs(y.mean(axes[name])).max(), abs(y.var(axes[name]) - 1).max()]
        return jnp.stack(found).max()

    x = 3 + 2 * np.random.default_rng(0).normal(size=(8, 5, 5, 64)).astype(np.float32)
    worst = float(spread(x))
    return below(1e-3, worst, "from mean 0, variance 1")


def dropout(layer=layers.Dropout) -> Outcome:
    x = jnp.ones((100, 200))
    keys = {"dropout": jax.random.key(0)}
    dropped = np.asarray(layer(0.25, train=True).apply({}, x, rngs=keys))
    unchanged = layer(0.25, train=False).apply({}, x, rngs=keys)
    kept = dropped > 0
    computed = {
        "a quarter dropped": abs((~kept).mean() - 0.25) < 0.02,
        "the rest grown by 4/3": difference(dropped[kept], np.full(kept.sum(), 4 / 3)) < 1e-6,
        "nothing when not training": difference(unchanged, x) == 0,
    }
    return equal(dict.fromkeys(computed, True), computed)


def blocks(build=models.build, residual=resnet.Basic) -> Outcome:
    inception = shapes_within(build("googlenet"), 224, 224, 3)["stage1_block1"]
    vgg = shapes_within(build("vgg16"), 224, 224, 3)
    unit = partial(layers.ConvBN, norm=None)
    block = residual(4, 1, unit)
    x = jax.random.normal(jax.random.key(0), (1, 6, 6, 4))
    shapes = jax.eval_shape(block.init, jax.random.key(0), x)
    silent = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    computed = {
        "Inception 3a": inception,
        "identity past silent layers": difference(block.apply(silent, x), jax.nn.relu(x)) == 0,
        "convolutions before VGG's pools": [
            sum(name.startswith(f"stage{s}_") for name in vgg) for s in range(1, 6)
        ],
    }
    expected = {
        "Inception 3a": (28, 28, 64 + 128 + 32 + 32),
        "identity past silent layers": True,
        "convolutions before VGG's pools": [2, 2, 3, 3, 3],
    }
    return equal(expected, computed)


def dimensions(
    conv=layers.Conv, feature_maps: Callable[..., jax.Array] = convolution.feature_maps
) -> Outcome:
    """Also holds that a layer and `feature_maps` agree on kernels without any symmetry."""
    rng = np.random.default_rng(0)
    shapes, worst = {}, 0.0
    for axes in (1, 2, 3):
        image = rng.normal(size=(*range(5, 5 + axes), 2))
        filters = rng.normal(size=(*(3,) * axes, 2, 4))
        found = apply(conv(4, 3, padding="valid", use_bias=False), {"kernel": filters}, image[None])
        shapes[f"conv{axes}D"] = found.shape[1:]
        worst = max(worst, difference(found[0], feature_maps(image, filters)))
    expected = {"conv1D": (3, 4), "conv2D": (3, 4, 4), "conv3D": (3, 4, 5, 4)}
    return Outcome(expected, shapes, shapes == expected and worst < 1e-5)


CHECKS = (
    Check("L01", "S1,S2,S3", "gray, colour; 0-255 to 0-1; channels first or last", inputs),
    Check("L02", "S0-S4", "convolution: kernel, stride, padding, bias, ReLU", convolution_layer),
    Check("L03", "S1", "ReLU, tanh, sigmoid; without them all is linear", nonlinearities),
    Check("L04", "S0-S4", "max and average pooling", maximum_and_average),
    Check("L05", "S1", "geometric, harmonic: H <= G <= A <= max, finite", means),
    Check("L06", "S3", "global average pooling", global_average),
    Check("L07", "S0,S2-S4", "flatten, dense, softmax, sigmoid", dense_and_heads),
    Check("L08", "S1", "batch, group and layer normalisation", normalisation),
    Check("L09", "S0,S2", "dropout: when training, and only then", dropout),
    Check("L10", "S3", "Inception, shortcut, several convolutions per pool", blocks),
    Check("L11", "S0", "convolution in 1, 2 and 3 dimensions", dimensions),
)
