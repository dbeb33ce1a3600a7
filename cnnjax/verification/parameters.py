"""Requirements 1.3: parameters, counted by formula and in the networks themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from cnnjax import compiler, convolution, data, layers, models
from cnnjax.report import summary
from cnnjax.structure import layers as structure
from cnnjax.verification.check import Check, Outcome, equal


def tree_size(tree: Any) -> int:
    """Returns how many numbers the leaves of `tree` hold."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def variables_of(network: nn.Module, *image: int) -> Mapping[str, Any]:
    """Returns the shapes of a network's variables, for one image; allocates nothing."""
    images = jnp.zeros((1, *image))
    return jax.eval_shape(lambda: network.init(jax.random.key(0), images))


def first_convnet(build: Callable[..., nn.Module]) -> Mapping[str, int]:
    """Returns the parameters of each layer of S4's network."""
    params = variables_of(build("first_convnet", classes=10), 28, 28, 1)["params"]
    return {name: tree_size(layer) for name, layer in params.items()}


def rows_of(name: str, shape: tuple[int, int, int]) -> list[structure.Layer]:
    """Returns the layers of a network of ten classes as `experiments.summary` lists them."""
    return structure.grouped(structure.trace(models.build(name, classes=10), shape), "layer")


def by_formula(parameter_count=convolution.parameter_count, conv=layers.Conv) -> Outcome:
    expected, computed = {"40 of 5x5x3": 3040}, {"40 of 5x5x3": parameter_count(5, 3, 40)}
    for kernel, channels, filters, bias in (((5, 5), 3, 40, True), ((1, 3), 7, 2, False)):
        layer = conv(filters, kernel, use_bias=bias)
        name = f"tree of {filters} of {kernel[0]}x{kernel[1]}x{channels}"
        expected[name] = parameter_count(kernel, channels, filters, bias)
        computed[name] = tree_size(variables_of(layer, 8, 8, channels))
    return equal(expected, computed)


def first_layer(build=models.build) -> Outcome:
    return equal(320, first_convnet(build)["block1_conv1"])


def second_layer(build=models.build) -> Outcome:
    return equal(18_496, first_convnet(build)["block2_conv1"])


def third_layer(build=models.build) -> Outcome:
    return equal(36_928, first_convnet(build)["block3_conv1"])


def pooling_and_flatten(pool=layers.max_pool, rows_of=rows_of) -> Outcome:
    alone = nn.Sequential([lambda x: pool(x, 2), lambda x: x.reshape(len(x), -1)])
    rows = rows_of("first_convnet", (28, 28, 1))
    unweighted = {row.kind: row.parameters for row in rows if row.kind in ("MaxPool", "Flatten")}
    computed = {"a tree of both": tree_size(variables_of(alone, 28, 28, 1)), **unweighted}
    return equal({"a tree of both": 0, "MaxPool": 0, "Flatten": 0}, computed)


def dense_layers(build=models.build) -> Outcome:
    sizes = first_convnet(build)
    computed = {"576 to 64": sizes["dense1"], "64 to 10": sizes["head"]}
    return equal({"576 to 64": 36_928, "64 to 10": 650}, computed)


def totals(build=models.build) -> Outcome:
    variables = variables_of(build("first_convnet", classes=10), 28, 28, 1)
    computed = {
        "total": tree_size(variables),
        "trainable": tree_size(variables["params"]),
        "not": tree_size({k: v for k, v in variables.items() if k != "params"}),
    }
    return equal({"total": 93_322, "trainable": 93_322, "not": 0}, computed)


def without_classifier(build=models.build) -> Outcome:
    sizes = first_convnet(build)
    return equal(55_744, sum(sizes.values()) - sizes["dense1"] - sizes["head"])


def printed_summary(table=summary.table, rows_of=rows_of) -> Outcome:
    """The lines of S4's summary, for our names; and 2 statistics for each of 688 channels."""
    text = table("first_convnet", rows_of("first_convnet", (28, 28, 1)))
    normalised = table("resnet20", rows_of("resnet20", (32, 32, 3)))
    expected = (
        r"Layer \(type\) +Output Shape +Param #.*",
        r"block1_conv1 \(Conv\) +\(None, 26, 26, 32\) +320 .*",
        r"max_pool \(MaxPool\) +\(None, 13, 13, 32\) +0 .*",
        r"block2_conv1 \(Conv\) +\(None, 11, 11, 64\) +18,496 .*",
        r"max_pool_1 \(MaxPool\) +\(None, 5, 5, 64\) +0 .*",
        r"block3_conv1 \(Conv\) +\(None, 3, 3, 64\) +36,928 .*",
        r"flatten \(Flatten\) +\(None, 576\) +0 .*",
        r"dense1 \(Dense\) +\(None, 64\) +36,928 .*",
        r"head \(Dense\) +\(None, 10\) +650 .*",
        "Total params: 93,322",
        "Trainable params: 93,322",
        "Non-trainable params: 0",
    )
    kept = [line for line in text.splitlines() if line[:1].isalpha()][1:]
    found = sum(bool(re.fullmatch(*pair)) for pair in zip(expected, kept, strict=False))
    computed = {
        "S4's lines in order": found,
        "resnet20's statistics": re.findall(r"Non-trainable params: (.*)", normalised),
    }
    return equal({"S4's lines in order": 12, "resnet20's statistics": ["1,376"]}, computed)


def keras_example(build=models.build) -> Outcome:
    variables = variables_of(build("mnist_cnn", classes=10), 28, 28, 1)
    return equal(1_199_882, tree_size(variables["params"]))


def small_convnet(build: Callable[..., nn.Module] = models.build) -> nn.Module:
    blocks = ((8,), (16,))
    return build("first_convnet", classes=10, blocks=blocks, units=(), padding="same",
                 pool_last=True)  # fmt: skip


class Perceptron(nn.Module):
    """Two hidden layers of 64 and no convolution."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.reshape(len(x), -1)
        for _ in range(2):
            x = nn.relu(layers.Dense(64)(x))
        return layers.Dense(10)(x)


def shifted_digits(images: np.ndarray, seed: int, side: int = 12) -> np.ndarray:
    """Returns 8x8 digits at a random place each in a black square of `side`, scaled to 0 to 1."""
    rng = np.random.default_rng(seed)
    frames = np.zeros((len(images), side, side, 1), np.float32)
    for frame, image, (row, column) in zip(
        frames, images, rng.integers(0, side - 7, (len(images), 2)), strict=True
    ):
        frame[row : row + 8, column : column + 8] = image / 255
    return frames


def trained_accuracy(network: nn.Module, digits: data.Dataset, steps: int = 300) -> float:
    """Returns the share of the test digits that `network` names after `steps` of 64 with Adam."""
    images, labels = shifted_digits(digits.train.images, 0), digits.train.targets["label"]
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, steps))
    params = network.init(jax.random.key(0), images[:1])
    state = optimizer.init(params)

    def loss(params, images, labels):
        logits = jnp.asarray(network.apply(params, images))
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    @compiler.jit
    def step(params, state, images, labels):
        updates, state = optimizer.update(jax.grad(loss)(params, images, labels), state)
        return optax.apply_updates(params, updates), state

    rng = np.random.default_rng(0)
    for _ in range(steps):
        drawn = rng.integers(0, len(images), 64)
        params, state = step(params, state, images[drawn], labels[drawn])
    logits = jnp.asarray(compiler.jit(network.apply)(params, shifted_digits(digits.test.images, 1)))
    return float((logits.argmax(-1) == digits.test.targets["label"]).mean())


def fewer_for_the_same(
    convnet=small_convnet, perceptron=Perceptron, accuracy=trained_accuracy
) -> Outcome:
    digits = data.load("digits", validation=0)
    networks = {"CNN": convnet(), "MLP": perceptron()}
    sizes = {name: tree_size(variables_of(net, 12, 12, 1)) for name, net in networks.items()}
    shares = {name: accuracy(net, digits) for name, net in networks.items()}
    passed = shares["CNN"] >= shares["MLP"] and sizes["MLP"] > 4 * sizes["CNN"]
    computed = {name: f"{shares[name]:.1%} with {sizes[name]:,}" for name in networks}
    return Outcome("CNN at least as accurate, a quarter of the parameters", computed, passed)


CHECKS = (
    Check("N01", "S1", "convolution: ((M * N * D) + 1) * K parameters", by_formula),
    Check("N02", "S4", "32 filters of 3x3 on 1 channel", first_layer),
    Check("N03", "S4", "64 filters of 3x3 on 32", second_layer),
    Check("N04", "S4", "64 filters of 3x3 on 64", third_layer),
    Check("N05", "S4", "pooling and flattening have none", pooling_and_flatten),
    Check("N06", "S4", "dense 576 to 64, and 64 to 10", dense_layers),
    Check("N07", "S4", "S4's network: total, trainable, not trainable", totals),
    Check("N08", "S4", "its base without the classifier", without_classifier),
    Check("N09", "S4", "the summary's layout, shapes, counts and totals", printed_summary),
    Check("N10", "S0", "Keras' mnist_cnn, with the lost lines put back", keras_example),
    Check("N11", "S1,S2,S3", "far fewer than a perceptron of its accuracy", fewer_for_the_same),
)
