"""The networks of 2012 to 2017 against the tables their papers print."""

import json
import math
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import Literal

from cnnjax import models
from cnnjax.errors import InputError

COUNTS = json.loads((Path(__file__).parent / "counts.json").read_text())
# name, pixels per side, and the maps (height = width, channels) after each module.
TABLES = {
    "Krizhevsky et al. 2012, figure 2": (
        "alexnet",
        227,
        {
            "conv1": (55, 96),
            "conv2": (27, 256),
            "conv3": (13, 384),
            "conv4": (13, 384),
            "conv5": (13, 256),
        },
    ),
    "Simonyan & Zisserman 2014, table 1, column D": (
        "vgg16",
        224,
        {
            "stage1_block2": (224, 64),
            "stage2_block2": (112, 128),
            "stage3_block3": (56, 256),
            "stage4_block3": (28, 512),
            "stage5_block3": (14, 512),
        },
    ),
    "Szegedy et al. 2014, table 1": (
        "googlenet",
        224,
        {
            "stem/conv1": (112, 64),
            "stem/conv3": (56, 192),
            "stem": (28, 192),
            "stage1_block1": (28, 256),
            "stage1_block2": (28, 480),
            "stage2_block1": (14, 512),
            "stage2_block2": (14, 512),
            "stage2_block3": (14, 512),
            "stage2_block4": (14, 528),
            "stage2_block5": (14, 832),
            "stage3_block1": (7, 832),
            "stage3_block2": (7, 1024),
        },
    ),
    "Szegedy et al. 2015, table 1": (
        "inception_v3",
        299,
        {
            "stem/conv1": (149, 32),
            "stem/conv2": (147, 32),
            "stem/conv3": (147, 64),
            "stage1_block3": (35, 288),
            "stage2_block5": (17, 768),
            "stage3_block1": (8, 1280),
            "stage3_block3": (8, 2048),
        },
    ),
    "Iandola et al. 2016, table 1": (
        "squeezenet1_0",
        227,
        {
            "stem": (111, 96),
            "stage1_block1": (55, 128),
            "stage1_block2": (55, 128),
            "stage1_block3": (55, 256),
            "stage2_block1": (27, 256),
            "stage2_block2": (27, 384),
            "stage2_block3": (27, 384),
            "stage2_block4": (27, 512),
            "stage3_block1": (13, 512),
            "head": (13, 1000),
        },
    ),
    "Chollet 2016, figure 5": (
        "xception",
        299,
        {"stage1_block3": (19, 728), "stage2_block8": (19, 728), "stage3_block3": (10, 2048)},
    ),
}


def traced(module, size):
    """Returns (variables, maps by module name) as shapes."""
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    kept = ("params", "batch_stats", "intermediates")

    def run(images):
        return module.init(jax.random.key(0), images, capture_intermediates=True, mutable=kept)

    variables = jax.eval_shape(run, images)
    leaves = jax.tree_util.tree_leaves_with_path(variables.pop("intermediates"))
    maps = {}
    for path, leaf in leaves:
        names = [part.key for part in path[:-1]]
        maps["/".join(n for n in names if n != "__call__")] = leaf.shape
    return variables, maps


def number(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("source", TABLES)
def test_maps_have_the_sizes_that_the_paper_prints(source):
    name, size, printed = TABLES[source]
    _, maps = traced(models.build(name), size)
    assert {name: (maps[name][1], maps[name][-1]) for name in printed} == printed


def test_fire_modules_have_the_parameters_of_table_1():
    variables, _ = traced(models.build("squeezenet1_0"), 64)
    # Iandola et al. 2016, table 1, "# parameters before pruning", conv1 to conv10.
    printed = [14208, 11920, 12432, 45344, 49440, 104880, 111024, 188992, 197184, 513000]
    names = ["stem"] + [f"stage{s}_block{b}" for s, n in ((1, 3), (2, 4), (3, 1))
                        for b in range(1, n + 1)] + ["head"]  # fmt: skip
    assert [number(variables["params"][name]) for name in names] == printed


@pytest.mark.parametrize(
    "key", [key for key, row in COUNTS.items() if "auxiliary" in row["fields"]]
)
def test_auxiliary_heads_have_their_parameters_and_sow_logits(key):
    row = COUNTS[key]
    module = models.build(row["name"], 1000, row.get("dialect"), **row["fields"])
    size = row["input"][0]
    variables, _ = traced(module, size)
    assert variables.keys() <= {"params", "batch_stats"}
    assert number(variables["params"]) == row["trainable"], row["source"]
    assert number(variables.get("batch_stats", {})) == row["non_trainable"], row["source"]
    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    heads = ("aux1", "aux2") if row["name"] == "googlenet" else ("aux",)
    _, sown = jax.eval_shape(partial(module.apply, mutable=["auxiliary"]), variables, images)
    shapes = jax.tree.map(lambda leaf: leaf.shape, sown["auxiliary"])
    assert shapes == {head: {"logits": ((2, 1000),)} for head in heads}


DROPPING = {
    "alexnet": {},
    "vgg16": {},
    "googlenet": {},
    "inception_v3": {},
    "inception_resnet_v2": {"blocks": (1, 1, 1)},
    "squeezenet1_0": {},
    "xception": {"middle": (728, 1)},
}


@pytest.mark.parametrize("name", DROPPING)
def test_logits_in_training_depend_on_what_is_dropped(name):
    module = models.build(name, dropout_rate=0.5, **DROPPING[name])

    def logits(key, images):
        keys = {"params": jax.random.key(0), "dropout": key}
        return module.init_with_output(keys, images, train=True)[0]

    key = jax.eval_shape(lambda: jax.random.key(0))
    images = jax.ShapeDtypeStruct((1, 75, 75, 3), jnp.float32)
    jaxpr = jax.make_jaxpr(logits)(key, images).jaxpr
    needed = set(jaxpr.outvars)
    for equation in reversed(jaxpr.eqns):
        if not needed.isdisjoint(equation.outvars):
            needed.update(v for v in equation.invars if not isinstance(v, Literal))
    assert jaxpr.invars[0] in needed


@pytest.mark.parametrize(
    ("name", "smallest"),
    # `min_size` of torchvision 0.28.0's weights, per side.
    [
        ("alexnet", 63),
        ("vgg11", 32),
        ("googlenet", 15),
        ("inception_v3", 75),
        ("squeezenet1_0", 21),
        ("squeezenet1_1", 17),
    ],
)
def test_the_smallest_images_are_those_of_torchvision(name, smallest):
    module = models.build(name, 10, dialect="torch")
    models.variable_shapes(module, (smallest, smallest, 3))
    with pytest.raises(InputError, match="does not fit"):
        models.variable_shapes(module, (smallest - 1, smallest - 1, 3))
