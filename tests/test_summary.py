"""The summary: the article's table, published receptive fields, and the command."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from cnnjax import models
from cnnjax.layers import Conv, DepthwiseConv, Dropout, average_pool, global_max_pool, max_pool
from cnnjax.models import backbones
from cnnjax.report import summary
from cnnjax.structure import layers, receptive
from tests import thin_networks

ROOT = Path(__file__).parent.parent
# The shapes, parameters and totals are those of the article, in the manner of Keras.
FIRST_CONVNET = """\
Model: "first_convnet"
_________________________________________________________________________________________
Layer (type)          Output Shape        Param #       MACs  Activation  Receptive field
=========================================================================================
block1_conv1 (Conv)   (None, 26, 26, 32)      320    194,688    84.5 KiB              3x3
max_pool (MaxPool)    (None, 13, 13, 32)        0          0   21.12 KiB              4x4
block2_conv1 (Conv)   (None, 11, 11, 64)   18,496  2,230,272   30.25 KiB              8x8
max_pool_1 (MaxPool)  (None, 5, 5, 64)          0          0    6.25 KiB            10x10
block3_conv1 (Conv)   (None, 3, 3, 64)     36,928    331,776    2.25 KiB            18x18
flatten (Flatten)     (None, 576)               0          0    2.25 KiB              all
dense1 (Dense)        (None, 64)           36,928     36,864       256 B              all
head (Dense)          (None, 10)              650        640        40 B              all
=========================================================================================
Total params: 93,322
Trainable params: 93,322
Non-trainable params: 0
MACs: 2,794,240
Activations: 146.9 KiB
"""
# Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks", table
# at the end, of the last convolutional maps. Their AlexNet is the one-tower one.
RECEPTIVE_FIELDS = {
    "alexnet": 195,
    "vgg16": 212,
    "mobilenet_v1": 315,
    "resnet50": 483,
    "resnet101": 1027,
    "resnet152": 1507,
    "resnet50_v2": 483,
    "inception_v3": 1311,
    "inception_resnet_v2": 3039,
}


def command(*arguments):
    return subprocess.run(
        (sys.executable, "-m", "experiments.summary", *arguments),
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_command_prints_the_articles_table():
    done = command("--model=first_convnet", "--input=28,28,1", "--classes=10")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == FIRST_CONVNET


def test_the_command_reads_a_config_and_writes_json():
    done = command("--config=configs/mnist.py:mnist_cnn", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["input"] == [28, 28, 1] and found["classes"] == 10
    # 1,199,882: the Keras example's own summary.
    assert [layer["params"] for layer in found["layers"]] == [
        *(320, 18496, 0, 0, 0, 1179776, 0, 1290)
    ]
    assert [layer["kind"] for layer in found["layers"]] == [
        *("Conv", "Conv", "MaxPool", "Dropout", "Flatten", "Dense", "Dropout", "Dense")
    ]
    assert found["totals"]["params"] == found["totals"]["trainable"] == 1199882


def test_the_command_prints_the_stages_of_a_backbone():
    done = command("--model=resnet50", "--stages", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)["stages"]
    assert found[-1] == {"name": "stage4_block3", "stride": 32, "features": 2048}
    text = summary.stages("net", [backbones.Stage(**stage) for stage in found])
    assert text.splitlines()[4].split() == ["stem", "2", "64"]


def test_fields_of_a_named_network_are_heard():
    given = ("--config.model.kernel=3", "--config.data.image_size=32", "--json")
    found = json.loads(command("--model=lenet5", *given).stdout)
    # 3 * 3 * 3 * 6 + 6 and, after 32, 16, 14 and 7 pixels, 7 * 7 * 16 * 120 + 120 by arithmetic.
    counts = {layer["name"]: layer["params"] for layer in found["layers"]}
    assert (counts["c1"], counts["f5"]) == (168, 94200) and found["input"] == [32, 32, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=vgg16", "--config.seed=3"], "error: --config.seed has no meaning beside --mod"),
        (["--model=vgg16", "--config=configs/mnist.py"], "error: --model and --config name two "),
        (["--model=vgg61"], "error: unknown network 'vgg61'; did you mean vgg19, vgg16, vgg13?"),
        (["--model=vgg16", "--dialect=tf"], "error: vgg16 has no dialect 'tf'; it has "),
        (["--model=vgg16", "--input=31,40,3"], "error: 31x40 images are too small for this "),
        (["--model=vgg16", "--input=31,40"], "error: --input is height,width,channels; given "),
    ],
)
def test_unusable_arguments_end_in_one_plain_line(arguments, message):
    done = command(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(message) and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", RECEPTIVE_FIELDS)
def test_receptive_fields_are_those_published(name):
    # Theirs are of TensorFlow's networks, but for AlexNet.
    published = {
        "alexnet": "torch",
        "resnet50": "keras",
        "resnet101": "keras",
        "resnet152": "keras",
    }
    found = layers.trace(models.build(name, dialect=published.get(name)), (299, 299, 3)).layers
    fields = [layer.receptive_field for layer in found if layer.receptive_field]
    assert max(rows for rows, _ in fields) == max(columns for _, columns in fields)
    assert max(rows for rows, _ in fields) == RECEPTIVE_FIELDS[name]


def strided_slices(x):
    return x[:, 1::2, :12:3] + x[:, 2::2, 1::3]


def moved_axes(x):
    return jnp.swapaxes(jnp.pad(jnp.swapaxes(x, 1, 2), ((0, 0), (2, 1), (0, 3), (0, 0))), 1, 2)


SEEING = {
    "convolution": lambda x: correlate(x, (3, 2), (1, 1), "VALID", (1, 1)),
    "strided, padded and dilated": lambda x: correlate(x, (3, 5), (2, 3), ((2, 1), (3, 4)), (3, 2)),
    "max pooling": lambda x: max_pool(x, 3, 2, "same"),
    "tiled max pooling": lambda x: max_pool(x, 2),
    "average pooling with ceil mode": lambda x: average_pool(x, (3, 2), 2, 1, ceil_mode=True),
    "slices": strided_slices,
    "padding and transposition": moved_axes,
    "a chain": lambda x: correlate(
        jax.nn.relu(max_pool(correlate(x, (3, 3), (1, 2), "SAME", (1, 1)), 3, 2, 1)),
        (3, 2), (1, 1), ((1, 1), (0, 1)), (1, 2),
    ),
    "two paths": lambda x: jnp.concatenate(
        (average_pool(x, 3, 1, "same"), correlate(x, (1, 5), (1, 1), "SAME", (1, 1))), axis=-1
    ),
    "sums over pixels": lambda x: x - x.mean((1, 2), keepdims=True),
    "flattening": lambda x: x.reshape(len(x), -1) @ jnp.ones((x[0].size, 2)),
    "reversal": lambda x: x[:, ::-1, ::-1],
    "one axis left": lambda x: max_pool(x, (1, 3), 1).max(1),
}  # fmt: skip


def correlate(x, kernel, stride, padding, dilation):
    weights = jnp.ones((*kernel, x.shape[-1], 2))
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, weights, stride, padding, rhs_dilation=dilation, dimension_numbers=layout
    )


@pytest.mark.parametrize("label", SEEING)
@pytest.mark.parametrize("axis", [1, 2])
def test_what_an_index_sees_is_what_can_spoil_it(label, axis):
    """A nan in the image goes exactly where the receptive field says, or less far at most."""
    function, side = SEEING[label], 13
    image = np.zeros((1, side, side, 1), np.float32)
    jaxpr = jax.make_jaxpr(function)(image).jaxpr
    view = receptive.of_jaxpr(jaxpr, [(receptive.Reach(1), receptive.Reach(2))])
    reach = view[axis - 1]
    spoiled = []
    for i in range(side):
        image = np.zeros((1, side, side, 1), np.float32)
        image[(slice(None),) * axis + (i,)] = np.nan
        spoiled.append(np.isnan(function(jnp.asarray(image))))
    spoiled = np.array(spoiled)
    if reach is None:
        assert label in ("sums over pixels", "flattening", "one axis left", "reversal")
        return
    others = tuple(a for a in range(spoiled.ndim) if a not in (0, 1 + reach.axis))
    dilated = "dilated" in label or label == "a chain"
    for out, pixels in enumerate(spoiled.any(others).T):
        first, last = reach.first + out * reach.step, reach.last + out * reach.step
        seen = [i for i in range(side) if first <= i <= last]
        found = list(np.flatnonzero(pixels))
        assert set(found) <= set(seen)
        if first >= 0 and last < side:
            assert (found[0], found[-1]) == (first, last)
        if not dilated:
            assert found == seen


class Small(nn.Module):
    """Two dropouts, of which one drops, and two calls of one layer."""

    @nn.compact
    def __call__(self, x, train=False):
        twice = DepthwiseConv(3, name="twice")
        x = Dropout(0.0, train)(Dropout(0.5, train)(twice(nn.relu(twice(x)))))
        x = Conv(3, 1, use_bias=False, name="conv")(average_pool(x) + average_pool(x))
        return nn.Dense(2, name="head")(global_max_pool(x))


def test_rows_are_layers_that_work_and_weights_count_once():
    rows = layers.trace(Small(), (8, 8, 2)).layers
    assert [(row.name, row.kind, row.parameters) for row in rows] == [
        ("twice", "DepthwiseConv", 20),
        ("twice_1", "DepthwiseConv", 0),
        ("Dropout_1", "Dropout", 0),
        ("average_pool", "AveragePool", 0),
        ("average_pool_1", "AveragePool", 0),
        ("conv", "Conv", 6),
        ("global_max_pool", "GlobalMaxPool", 0),
        ("head", "Dense", 8),
    ]
    # 9 taps for each of 8 * 8 * 2 outputs, in each of two calls; then 2 * 3 for each of 4 * 4.
    assert [row.macs for row in rows] == [1152, 1152, 0, 0, 0, 96, 0, 6]


@pytest.mark.parametrize("by", ["layer", "block", "stage"])
def test_groups_keep_the_totals(by):
    traced = layers.trace(thin_networks.module("nasnet"), (33, 33, 3))
    assert summary.totals(layers.grouped(traced, by)) == summary.totals(traced.layers)


def test_stages_have_the_shapes_of_the_papers_table():
    traced = layers.trace(models.build("densenet121"), (224, 224, 3))
    found = {row.name: row.shape for row in layers.grouped(traced, "stage")}
    # Huang et al. 2016, table 1; channels are 64 + 32 per layer, halved by each transition.
    assert found == {
        "stem": (112, 112, 64),
        "max_pool": (56, 56, 64),
        "stage1": (56, 56, 256),
        "transition1": (28, 28, 128),
        "stage2": (28, 28, 512),
        "transition2": (14, 14, 256),
        "stage3": (14, 14, 1024),
        "transition3": (7, 7, 512),
        "stage4": (7, 7, 1024),
        "norm": (7, 7, 1024),
        "global_average_pool": (1024,),
        "head": (1000,),
    }


def test_batch_statistics_are_counted_as_not_trainable():
    traced = layers.trace(thin_networks.module("resnet_cifar A"), (17, 17, 3))
    norms = [row for row in traced.layers if row.kind == "BatchNorm"]
    assert len(norms) == 7
    assert all(row.trainable == row.non_trainable == 2 * row.shape[-1] for row in norms)


def test_half_the_bytes_in_bfloat16():
    single, half = (
        layers.trace(models.build("alexnet_lite", 10, dtype=dtype), (32, 32, 3)).layers[0]
        for dtype in ("float32", "bfloat16")
    )
    assert half.activation_bytes * 2 == single.activation_bytes


def test_the_largest_network_takes_seconds():
    start = time.process_time()
    layers.trace(models.build("nasnet_large"), (331, 331, 3))
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**20, "1 MiB"), (2**42, "4096 GiB")],
)
def test_memory_is_written_in_a_readable_unit(size, text):
    assert summary.memory(size) == text
