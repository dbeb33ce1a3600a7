"""Suspected labels beside those that cleanlab finds in the same probabilities."""

import numpy as np
import pytest
from scipy import special

from cnnjax.report import suspects

# A process of its own for each class is what cleanlab starts, where it may.
cleanlab_count = pytest.importorskip("cleanlab.count")
cleanlab_filter = pytest.importorskip("cleanlab.filter")


@pytest.fixture(scope="module", params=[0, 1, 2])
def judged(request):
    """Probabilities of 4,000 examples of ten unequal classes, and labels, 3 % of them changed."""
    random = np.random.default_rng(request.param)
    true = random.choice(10, 4000, p=np.arange(1, 11) / 55)
    logits = random.normal(size=(4000, 10)) * 2
    logits[np.arange(4000), true] += 6
    labels, changed = true.copy(), random.random(4000) < 0.03
    labels[changed] = random.integers(0, 10, changed.sum())
    return special.softmax(logits, 1), labels


def test_the_thresholds(judged):
    probabilities, labels = judged
    wanted = cleanlab_count.get_confident_thresholds(labels, probabilities)
    np.testing.assert_allclose(suspects.thresholds(probabilities, labels), wanted)


def test_the_confident_joint(judged):
    probabilities, labels = judged
    wanted, places = cleanlab_count.compute_confident_joint(
        labels, probabilities, calibrate=False, return_indices_of_off_diagonals=True
    )
    found = suspects.confident(probabilities, labels)
    ours = np.zeros((10, 10), int)
    np.add.at(ours, (labels[found >= 0], found[found >= 0]), 1)
    np.testing.assert_array_equal(ours, wanted)
    assert set(np.flatnonzero((found >= 0) & (found != labels))) == set(places)
    calibrated = cleanlab_count.compute_confident_joint(labels, probabilities, calibrate=True)
    # cleanlab rounds to whole examples.
    np.testing.assert_allclose(suspects.joint(probabilities, labels), calibrated, atol=1)


def test_the_examples_that_are_pruned_by_class(judged):
    probabilities, labels = judged
    wanted = cleanlab_filter.find_label_issues(
        labels, probabilities, filter_by="prune_by_class", n_jobs=1
    )
    theirs = set(np.flatnonzero(wanted))
    found = suspects.suspects(probabilities, labels)
    # Of each class one more or less, by the rounding.
    assert len(theirs ^ set(found.suspected)) <= 10 and len(theirs) > 100
    margins = probabilities[np.arange(4000), labels][found.suspected]
    others = probabilities[found.suspected].max(1)
    np.testing.assert_allclose(found.margin[: found.count], others - margins)
