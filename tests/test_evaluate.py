"""Evaluation is exact: equal to numpy over all examples at once, however they are cut."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import linen as nn

from cnnjax import data, parallel
from cnnjax.data import Split
from cnnjax.evaluation.evaluate import evaluator
from cnnjax.layers import BatchNorm, Dense, Dropout
from cnnjax.tasks.classification import TASK

COUNT = 10_007


class Net(nn.Module):
    """Dense, BatchNorm and dropout: what behaves otherwise in training than here."""

    axis_name: Any = None

    @nn.compact
    def __call__(self, x, train=False):
        x = Dense(8)(x.reshape(len(x), -1))
        x = BatchNorm(train=train, axis_name=self.axis_name)(x)
        return Dense(4)(Dropout(0.5, train)(x))


class Reciprocal(nn.Module):
    """The mean pixel and its reciprocal: for a black image a logit that is no number."""

    @nn.compact
    def __call__(self, x, train=False):
        mean = x.mean((1, 2, 3)) * 4
        return jnp.stack([mean, jnp.where(mean > 0, 1 / mean, jnp.nan)], axis=1)


@pytest.fixture(scope="module")
def split():
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (COUNT, 4, 4, 1), dtype=np.uint8)
    return Split(images, {"label": draw.integers(0, 4, COUNT).astype(np.int32)})


@pytest.fixture(scope="module")
def network(split):
    module = Net()
    variables = module.init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
    draw = np.random.default_rng(1)
    statistics = jax.tree.map(lambda x: x + draw.random(x.shape), variables["batch_stats"])
    variables = {"params": variables["params"], "batch_stats": statistics}
    logits = np.asarray(module.apply(variables, data.normalize(split.images)), np.float64)
    losses = -scipy.special.log_softmax(logits, axis=1)[np.arange(COUNT), split.targets["label"]]
    return module, variables, (logits.argmax(axis=1) == split.targets["label"]).sum(), losses.sum()


@pytest.mark.parametrize("batch_size", [7, 500, 2000, 20_000])
@pytest.mark.parametrize(
    ("kind", "devices"), [("jit", 1), *((kind, n) for kind in ("pmap", "jit") for n in (2, 4, 8))]
)
def test_every_example_counts_once(kind, devices, batch_size, network, split):
    module, variables, correct, loss = network
    mapper = parallel.mapper(kind, devices)
    found = evaluator(TASK, module, data.normalize, mapper, batch_size)(
        mapper.replicate(variables), split
    )
    assert found["examples"] == COUNT
    assert found["accuracy"] == correct / COUNT
    assert found["loss"] == pytest.approx(loss / COUNT, rel=1e-6)


@pytest.mark.parametrize(("batch_size", "count"), [(1, 107), (32, COUNT)])
def test_an_evaluator_serves_splits_of_any_length(batch_size, count, network, split):
    module, variables, _, _ = network
    mapper = parallel.mapper("jit", 2)
    evaluate = evaluator(TASK, module, data.normalize, mapper, batch_size)
    variables = mapper.replicate(variables)
    parts = [evaluate(variables, split.take(np.arange(a, b))) for a, b in ((0, 3), (3, count))]
    whole = evaluate(variables, split.take(np.arange(count)))
    for name in ("accuracy", "loss"):
        joined = sum(part[name] * part["examples"] for part in parts) / count
        assert joined == pytest.approx(whole[name], rel=1e-6)


def test_a_split_without_examples_has_no_result(network, split):
    module, variables, _, _ = network
    mapper = parallel.mapper("jit", 1)
    empty = split.take(np.arange(0))
    assert evaluator(TASK, module, data.normalize, mapper, 10)(variables, empty) == {}


@pytest.mark.parametrize("devices", [1, 4])
def test_logits_that_are_no_numbers_are_wrong_and_padding_is_never_seen(devices):
    # Black images give NaN. Padding is black, too, and must not reach the sums.
    pixels = np.array([200, 200, 10, 10, 10], np.uint8)
    images = np.broadcast_to(pixels[:, None, None, None], (5, 4, 4, 1))
    split = Split(images, {"label": np.array([0, 1, 1, 1, 0], np.int32)})
    mapper = parallel.mapper("auto", devices)
    evaluate = evaluator(TASK, Reciprocal(), data.normalize, mapper, 3)
    found = evaluate({}, split)
    assert found["accuracy"] == 3 / 5 and np.isfinite(found["loss"])

    images = np.concatenate([images, np.zeros((2, 4, 4, 1), np.uint8)])
    found = evaluate({}, Split(images, {"label": np.array([0, 1, 1, 1, 0, 0, 1], np.int32)}))
    assert found["accuracy"] == 3 / 7 and found["examples"] == 7
    assert np.isnan(found["loss"])


def test_another_split_compiles_nothing(network, split, caplog):
    module, variables, _, _ = network
    mapper = parallel.mapper("pmap", 2)
    evaluate = evaluator(TASK, module, data.normalize, mapper, 64)
    variables = mapper.replicate(variables)

    def compilations(part):
        caplog.clear()
        with jax.log_compiles():
            evaluate(variables, part)
        return sum("Compiling" in record.getMessage() for record in caplog.records)

    assert compilations(split) > 0
    assert compilations(split.take(np.arange(100))) == 0
