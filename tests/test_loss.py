"""Loss and sums against scipy and plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from cnnjax.tasks import sums
from cnnjax.tasks.classification import TASK
from cnnjax.tasks.loss import cross_entropy

LOGITS = np.random.default_rng(0).normal(size=(6, 5)) * 4
LABELS = np.array([0, 4, 2, 2, 1, 3])


def target(smoothing):
    return (1 - smoothing) * np.eye(5)[LABELS] + smoothing / 5


def expected(smoothing):
    return -(target(smoothing) * scipy.special.log_softmax(LOGITS, axis=1)).sum(axis=1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_is_that_of_the_smoothed_target(smoothing):
    found = cross_entropy(jnp.asarray(LOGITS), jnp.asarray(LABELS), smoothing)
    np.testing.assert_allclose(found, expected(smoothing), rtol=1e-5)
    traced = jax.jit(cross_entropy)(jnp.asarray(LOGITS), jnp.asarray(LABELS), smoothing)
    np.testing.assert_allclose(traced, expected(smoothing), rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_its_gradient_is_probability_minus_target(smoothing):
    found = jax.grad(lambda x: cross_entropy(x, jnp.asarray(LABELS), smoothing).sum())(
        jnp.asarray(LOGITS)
    )
    wanted = scipy.special.softmax(LOGITS, axis=1) - target(smoothing)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_logits_of_half_precision_are_scored_in_float32():
    logits = jnp.asarray(LOGITS, jnp.bfloat16)
    found = cross_entropy(logits, jnp.asarray(LABELS))
    assert found.dtype == jnp.float32
    wide = np.asarray(logits, np.float64)
    wanted = -scipy.special.log_softmax(wide, axis=1)[np.arange(6), LABELS]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_huge_logits_stay_finite():
    logits = jnp.asarray([[1e30, -1e30, 0.0]])
    assert float(cross_entropy(logits, jnp.asarray([0]))[0]) == 0
    assert float(cross_entropy(logits, jnp.asarray([2]))[0]) == pytest.approx(1e30)


def total(logits, labels, losses, counted):
    logits, labels, losses, counted = map(jnp.asarray, (logits, labels, losses, counted))
    found = sums(TASK, logits, {"label": labels}, losses, counted)
    return {name: float(value) for name, value in found.items()}


def test_sums_count_what_is_counted():
    losses = expected(0.0)
    counted = np.array([1, 1, 0, 1, 0, 1], np.float32)
    right = LOGITS.argmax(axis=1) == LABELS
    found = total(LOGITS, LABELS, losses, counted)
    assert found["count"] == 4
    assert found["correct"] == right[counted > 0].sum()
    assert found["loss"] == pytest.approx(losses[counted > 0].sum(), rel=1e-6)


def test_examples_not_counted_cannot_spoil_the_sums():
    logits, losses = LOGITS.copy(), expected(0.0)
    logits[2], losses[2] = np.nan, np.nan
    counted = np.array([1, 1, 0, 1, 1, 1], np.float32)
    assert total(logits, LABELS, losses, counted) == total(LOGITS, LABELS, expected(0.0), counted)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_example_with_a_logit_that_is_no_number_is_wrong(bad):
    # argmax takes a NaN for the largest: without care it would be right wherever its label is.
    for place in range(3):
        logits = np.eye(3) * 5
        logits[0, place] = bad
        found = total(logits, np.arange(3), np.ones(3), np.ones(3))
        assert found["correct"] == 2 and found["count"] == 3
