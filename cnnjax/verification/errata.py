"""Requirements 1.13: where the articles err or contradict each other, and what holds instead."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cnnjax import convolution, layers, models
from cnnjax.verification.check import Check, Outcome, agree, close, equal
from cnnjax.verification.parameters import tree_size, variables_of


def centred_slice(convolve=convolution.convolve) -> Outcome:
    x, kernel = np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 3])
    padded = np.array([0.0, 1, 2, 3, 4, 0])
    full = np.array([1.0, 4, 10, 16, 17, 12])
    same = convolve(x, kernel, "same")
    expected = {"same": full[1:5], "one 0 at each end": full[1:5]}
    return close(expected, {"same": same, "one 0 at each end": convolve(padded, kernel, "valid")})


def missing_stroke(output_size=convolution.output_size) -> Outcome:
    computed = {"(128 - 5 + 0) / 1 + 1": output_size(128, 5, 0, 1)}
    return equal({"(128 - 5 + 0) / 1 + 1": 124}, computed)


def inception_modules(build=models.build) -> Outcome:
    """GoogLeNet, 2014, is the network; Inception its module and the name of its successors."""
    network = build("googlenet")
    found = jax.eval_shape(
        lambda x: network.init_with_output(jax.random.key(0), x)[1], jnp.zeros((1, 224, 224, 3))
    )["params"]
    modules = [name for name in found if "block" in name]
    computed = {"modules of 2014": len(modules), "parameters": tree_size(found)}
    return equal({"modules of 2014": 9, "parameters": 6_998_552}, computed)


def largest_classic(build=models.build) -> Outcome:
    names = {"vgg16": 224, "alexnet": 227, "googlenet": 224, "resnet50": 224, "lenet5": 28}
    sizes = {
        name: tree_size(variables_of(build(name), side, side, 1 if side == 28 else 3)["params"])
        for name, side in names.items()
    }
    computed = {"vgg16": sizes["vgg16"], "largest": max(sizes, key=lambda name: sizes[name])}
    return equal({"vgg16": 138_357_544, "largest": "vgg16"}, computed)


def resnext(build=models.build) -> Outcome:
    """Xie et al., 2016: 25.0 million in table 1; the exact count is torchvision's."""
    params = variables_of(build("resnext50_32x4d"), 224, 224, 3)["params"]
    return equal(25_028_904, tree_size(params))


def without_flatten(dense=layers.Dense) -> Outcome:
    """A dense layer on a map gives an answer per pixel; only a flattened one gives ten."""
    maps = jnp.zeros((1, 12, 12, 64))

    def answer(x):
        return jax.eval_shape(
            lambda x: dense(10).init_with_output(jax.random.key(0), x)[0], x
        ).shape

    computed = {"as printed": answer(maps), "flattened": answer(maps.reshape(1, -1))}
    return equal({"as printed": (1, 12, 12, 10), "flattened": (1, 10)}, computed)


def one_name_each(build=models.build) -> Outcome:
    params = variables_of(build("first_convnet", classes=10), 28, 28, 1)["params"]
    names = ["block1_conv1", "block2_conv1", "block3_conv1", "dense1", "head"]
    return equal(names, sorted(params))


def adadelta(optimizer=optax.adadelta) -> Outcome:
    """One step from a gradient of 1: how far a weight moves, by the rule of Zeiler, 2012."""
    rho, epsilon = 0.95, 1e-7
    mean_square = 1 - rho
    by_hand = np.sqrt(epsilon) / np.sqrt(mean_square + epsilon)

    def first_step(**options):
        rule = optimizer(**options)
        weight = jnp.zeros(1)
        return -rule.update(jnp.ones(1), rule.init(weight), weight)[0]

    then = first_step(learning_rate=1.0, rho=rho, eps=epsilon)
    now = first_step(learning_rate=0.001, rho=rho, eps=epsilon)
    others = first_step(learning_rate=1.0)
    computed = {"then": float(then[0]), "Keras 3": float(now[0]), "optax": float(others[0])}
    expected = {"then": by_hand, "Keras 3": by_hand / 1000, "optax": np.sqrt(1e-6 / (0.1 + 1e-6))}
    passed = agree([by_hand, by_hand / 1000], [then[0], now[0]], 1e-8)
    passed = passed and agree(expected["optax"], computed["optax"], 1e-8)
    return Outcome(expected, computed, passed)


CHECKS = (
    Check(
        "E1",
        "S3",
        '"same" is said to add 0s at the end and, later, one at each end. The second is right for '
        "three weights: it is the centred slice of full, of length max(M, N)",
        centred_slice,
    ),
    Check(
        "E2",
        "S1",
        'prints "[(128-5+0)1]+1" and never says the kernel is 5; a stroke is missing: 124',
        missing_stroke,
    ),
    Check(
        "E3",
        "S0,S3",
        '"Inception Network, 2015" against GoogLeNet 2014: the paper of 2014 holds both names; '
        "the network is GoogLeNet, of nine Inception modules",
        inception_modules,
    ),
    Check(
        "E4",
        "S3",
        'VGG "quite small": it is simple; of the classics it is the largest',
        largest_classic,
    ),
    Check(
        "E5",
        "S4",
        "lists ResNeXt among Keras' applications, where Keras 3 has none; here it is",
        resnext,
    ),
    Check(
        "E6",
        "S0,S2",
        "the listings lack Flatten: as printed they answer once per pixel",
        without_flatten,
    ),
    Check(
        "E7",
        "S4",
        "mixes maxpooling2d_1 and max_pooling2d_1; here a layer has one name",
        one_name_each,
    ),
    Check(
        "E8",
        "S0",
        "Adadelta() meant a rate of 1.0 then, 0.001 in Keras 3, and optax has another rho and "
        "epsilon: a first step 1,000 times smaller; name all three",
        adadelta,
    ),
)
