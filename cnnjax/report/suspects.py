"""Labels that are likely wrong: confident learning, Northcutt, Jiang and Chuang 2021.

The probabilities must be of a network that has not learnt from these labels.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Suspects:
    """Every example, the likelier its label is wrong, the earlier.

    Attributes:
      places: the indices of all examples.
      count: the first so many are suspected; the rest are ranked only.
      classes: the likeliest class of each, beside its label.
      margin: by how much that class leads the label, in probability; negative where it does not.
    """

    places: np.ndarray
    count: int
    classes: np.ndarray
    margin: np.ndarray

    @property
    def suspected(self) -> np.ndarray:
        return self.places[: self.count]


def thresholds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the mean probability of each class among the examples of it (equation 2).

    Of a class without examples, more than any probability: nothing is taken for it.
    """
    classes = probabilities.shape[1]
    own = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0].astype(np.float64)
    count = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, own, classes)
    return np.where(count, sums / np.maximum(count, 1), np.inf)


def confident(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the class of each example by the confident joint (equation 1); -1 where none is.

    It is the likeliest of those whose probability reaches the class's threshold.
    """
    # A probability that equals the mean of its class reaches it, whatever the rounding.
    reached = probabilities >= thresholds(probabilities, labels) - 1e-6
    likeliest = np.where(reached, probabilities, -1.0).argmax(1)
    return np.where(reached.any(1), likeliest, -1)


def joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns how many examples of the label of the row show the class of the column, estimated.

    The confident joint with its rows stretched to the number of examples of each label (equation
    3), so that also those count for which no class is confident. float64.
    """
    classes = probabilities.shape[1]
    found = confident(probabilities, labels)
    sure = found >= 0
    counts = np.bincount(labels[sure] * classes + found[sure], minlength=classes**2)
    counts = counts.reshape(classes, classes)
    rows = counts.sum(1, keepdims=True)
    return counts * np.bincount(labels, minlength=classes)[:, None] / np.maximum(rows, 1)


def suspects(probabilities: np.ndarray, labels: np.ndarray) -> Suspects:
    """Returns the examples by their margin, those first that pruning by class suspects.

    Of each label those with the least probability, as many as the estimated joint has off its
    diagonal (section 3.2, method 3), unless the label is the likeliest class all the same.

    Args:
      probabilities: (examples, classes), each row of sum 1; labels: (examples,) integers.
    """
    labels = labels.astype(np.int64)
    expected = joint(probabilities, labels)
    wrong = np.rint(expected.sum(1) - np.diag(expected)).astype(int)
    own = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0]
    others = probabilities.copy()
    np.put_along_axis(others, labels[:, None], -1.0, 1)
    likeliest, margin = others.argmax(1), others.max(1) - own
    pruned = np.zeros(len(labels), bool)
    for label in np.flatnonzero(wrong):
        members = np.flatnonzero(labels == label)
        pruned[members[np.argsort(own[members], kind="stable")[: wrong[label]]]] = True
    pruned &= margin > 0
    order = np.lexsort((-margin, ~pruned))
    return Suspects(order, int(pruned.sum()), likeliest[order], margin[order])
