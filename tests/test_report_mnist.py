"""Suspected labels of real digits, judged by a network that somebody else has trained."""

import time

import numpy as np
import pytest
from scipy import special

from cnnjax.data import Split
from cnnjax.evaluation import opened, trained
from cnnjax.report import evidence, page, suspects

pytestmark = pytest.mark.slow
# Labels of MNIST's test set of which most of five people thought that they were wrong: Northcutt,
# Athalye and Mueller 2021 (arXiv 2103.14749), mturk/mnist_mturk.json of
# github.com/cleanlab/label-errors, by their places in the set as TFDS orders it.
WRONG = (588, 6364, 3729, 8973, 2064, 7660, 7300, 4751, 5329, 7577, 5556, 5282, 7247, 6489, 8292)
LABELS = (8, 0, 9, 4, 2, 5, 6, 6, 5, 5, 0, 1, 4, 6, 5)


@pytest.fixture(scope="module")
def given(shared):
    """A network, 99.08 % right, the digits, and what it makes of those of the test set."""
    network = opened.network(
        shared / "weights" / "keras2.3.1_mnist_ikukang.h5",
        preprocessing="mean=0 std=1",
        classes=list("0123456789"),
    )
    dataset = trained.data_for(network, "mnist", str(shared / "tfds"))
    return network, dataset, evidence.of_weights(network, dataset)


def probabilities(found):
    return special.softmax(found.judged.logits.astype(np.float64), 1)


def test_labels_changed_at_random_are_found(given):
    random = np.random.default_rng(0)
    labels = given[2].judged.labels.copy()
    changed = random.choice(len(labels), len(labels) // 100, replace=False)
    labels[changed] = (labels[changed] + random.integers(1, 10, len(changed))) % 10
    found = suspects.suspects(probabilities(given[2]), labels)
    hit = np.isin(found.suspected, changed)
    assert hit.sum() >= 0.9 * len(changed) and hit.mean() >= 0.7


def test_known_errors_of_the_test_set_come_early(given):
    labels = given[2].judged.labels
    assert tuple(labels[list(WRONG)]) == LABELS
    first = suspects.suspects(probabilities(given[2]), labels).places[:100]
    assert np.isin(WRONG, first).sum() >= 10


def test_a_page_of_ten_thousand_digits_is_small_and_quick(given):
    network, dataset, _ = given
    start = time.process_time()
    size = len(page.html([evidence.of_weights(network, dataset)]).encode())
    # Of both cores: twenty seconds on two of them would be forty.
    assert time.process_time() - start < 30 and size < 1_000_000
    assert isinstance(dataset.test, Split) and len(dataset.test) == 10_000
