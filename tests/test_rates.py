"""Learning rates of layers, and the running average of weights, against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax import models
from cnnjax.train import optim, rates
from cnnjax.train.state import averaged

SECTION = {"rates": (("stem", 0.1), ("stage1.*/norm2", 0.5), ("stage1.*", 2)), "layer_decay": 1.0}


def test_the_first_pattern_that_covers_a_layer_counts():
    factor = rates.factors(SECTION, models.build("resnet20", 10), (32, 32, 3))
    layers = "stem/conv", "stage1_block1/norm2", "stage1_block1/conv1", "stage2_block1/conv1"
    found = [factor(f"{layer}/kernel") for layer in layers]
    assert found == [0.1, 0.5, 2.0, 1.0]
    assert (
        rates.factors({"rates": (), "layer_decay": 1.0}, models.build("lenet5"), (28, 28, 1))
        is None
    )


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("lenet5", ["c1", "c3", "f5", "f6", "head"]),
        ("first_convnet", ["block1_conv1", "block2_conv1", "block3_conv1", "dense1", "head"]),
    ],
)
def test_layer_decay_counts_blocks_from_the_head(name, order):
    section = {"rates": (("head", 10.0),), "layer_decay": 0.5}
    factor = rates.factors(section, models.build(name, 10), (28, 28, 1))
    assert [factor(f"{block}/kernel") for block in order] == [0.0625, 0.125, 0.25, 0.5, 10.0]


def test_factors_scale_all_of_an_update_and_nothing_else():
    """As optax itself does it, one optimiser per group of parameters."""
    draw = np.random.default_rng(0).normal
    params = {name: {"kernel": jnp.asarray(draw(size=(3, 2)), jnp.float32)} for name in ("a", "b")}
    factor = {"a/kernel": 0.25, "b/kernel": 1.0}.__getitem__
    ours = optim.optimizer("adamw", 0.1, 0.01, factor=factor)
    groups = {
        "a": optim.optimizer("adamw", 0.1 * 0.25, 0.01),
        "b": optim.optimizer("adamw", 0.1, 0.01),
    }
    theirs = optax.multi_transform(groups, {"a": "a", "b": "b"})
    states = [optimizer.init(params) for optimizer in (ours, theirs)]
    for _ in range(3):
        gradients = jax.tree.map(lambda x: jnp.asarray(draw(size=x.shape), x.dtype), params)
        (one, states[0]), (other, states[1]) = (
            optimizer.update(gradients, state, params)
            for optimizer, state in zip((ours, theirs), states, strict=True)
        )
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), one, other)


def test_the_average_is_slow_at_last_and_quick_at_first():
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    average, slow = jnp.zeros(3), np.zeros(3)
    for step, value in enumerate(values):
        average = averaged(average, jnp.asarray(value), jnp.int32(step), 0.7)
        keep = min(0.7, (1 + step) / (10 + step))
        slow = keep * slow + (1 - keep) * value
    np.testing.assert_allclose(average, slow, rtol=1e-5)
    same = jnp.float32(0.1)
    assert averaged(same, same, jnp.int32(5), 0.9) == same
