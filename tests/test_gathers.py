"""Figures of all examples together, which are no function of sums."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnnjax import data, parallel, tasks
from cnnjax.data import Facts, Split
from cnnjax.evaluation.evaluate import evaluator, summer
from cnnjax.tasks import Figure, Gathers, Target, classification

SIZES = (1, 30)  # examples: fewer than devices, and a batch that is not full


class Brightness(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return jnp.stack([x.mean((1, 2, 3)), jnp.zeros(len(x))], 1)


def median(kept):
    return {"median": np.median(kept["score"]), "order": kept["score"], "label": kept["label"]}


TASK = dataclasses.replace(
    classification.TASK,
    gathers=Gathers(lambda o, t: {"score": o[:, 0], "label": t["label"]}, median),
    figures={
        "accuracy": classification.TASK.figures["accuracy"],
        "median": Figure(lambda values: values["median"], gathered=True),
    },
    best="median",
)


@pytest.mark.parametrize(("kind", "devices"), [("jit", 1), ("jit", 4), ("pmap", 4)])
@pytest.mark.parametrize("count", SIZES)
def test_all_examples_are_gathered_once_and_in_order(kind, devices, count):
    draw = np.random.default_rng(count)
    images = draw.integers(0, 256, (count, 2, 2, 1), dtype=np.uint8)
    split = Split(images, {"label": np.arange(count, dtype=np.int32)})
    mapper = parallel.mapper(kind, devices)
    arguments = (TASK, Brightness(), data.normalize, mapper, 8)
    values = summer(*arguments)({}, split)
    assert values["label"].tolist() == list(range(count))
    scores = (images / 255).mean((1, 2, 3))
    np.testing.assert_allclose(values["order"], scores, atol=1e-6)
    found = evaluator(*arguments)({}, split)
    assert found["median"] == pytest.approx(np.median(scores), abs=1e-6)


def test_reports_of_training_leave_such_figures_out():
    sums = {"loss": 3.0, "correct": 1.0, "count": 2.0}
    assert tasks.report(TASK, sums) == {"loss": 1.5, "accuracy": 0.5}
    both = tasks.report(TASK, sums | {"median": 7}, gathered=True)
    assert both == {"loss": 1.5, "accuracy": 0.5, "median": 7}


def test_a_length_of_none_may_be_any():
    target = Target((None, 4), np.float32)
    assert target.fits(np.zeros((3, 8, 4), np.float32))
    for wrong in (np.zeros((3, 8, 5), np.float32), np.zeros((3, 8, 4)), np.zeros((3, 4), "f4")):
        assert not target.fits(wrong)
    task = dataclasses.replace(TASK, targets=lambda facts: {"label": Target((None,), np.int32)})
    task = dataclasses.replace(task, measures=lambda o, t: {"most": t["label"].max(1)})
    task = dataclasses.replace(task, loss=lambda o, t: o[:, 0])
    from cnnjax.train.step import no_totals

    totals = no_totals(task, jax.ShapeDtypeStruct((1, 2), np.float32), Facts((2, 2, 1), ()))
    assert {name: x.shape for name, x in totals.items()} == dict.fromkeys(
        ("loss", "most", "count"), ()
    )
