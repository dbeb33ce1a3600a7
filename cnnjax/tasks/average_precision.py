"""COCO's average precision of detections, as pycocotools computes it (Lin et al. 2014, 1405.0312).

For each class, detections of all images are ranked by their score. In its image, each takes in this
order the object it agrees with most, of those that no other has taken; the area under the curve of
precision over recall, made to fall, is read at 101 recalls. The mean over ten least agreements is
"AP", or mAP: COCO does not tell these apart. Crowds, and objects whose area is outside of what is
asked for, are ignored: what is found there counts neither as right nor as wrong.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
# In pixels, both ends included: all, small, medium, large.
AREAS = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]])
ALL, SMALL, MEDIUM, LARGE = range(4)


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """What was found in one image: boxes (n, 4) in pixels, left, top, right and bottom."""

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Wanted:
    """What is in one image: boxes as in `Found`, crowd (n,) bool, areas (n,) in pixels."""

    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """The detections of one class in one image, the surest first.

    Attributes:
      scores: (n,).
      right, ignored: (areas, thresholds, n), bool.
      objects: (areas,), how many there were to find.
    """

    scores: np.ndarray
    right: np.ndarray
    ignored: np.ndarray
    objects: np.ndarray


def agreement(found: np.ndarray, wanted: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Returns intersection over union, (found, wanted); of a crowd, over the found box alone."""
    low = np.maximum(found[:, None, :2], wanted[:, :2])
    high = np.minimum(found[:, None, 2:], wanted[:, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    one, other = areas_of(found)[:, None], areas_of(wanted)
    either = np.where(crowd, one, one + other - both)
    return np.divide(both, either, out=np.zeros_like(both), where=both > 0)


def areas_of(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def outside(areas: np.ndarray) -> np.ndarray:
    """Returns which areas are not among those of each line of `AREAS`, (4, n)."""
    return (areas < AREAS[:, :1]) | (areas > AREAS[:, 1:])


def judged(found: Found, wanted: Wanted, most: int) -> Judged:
    """Judges the `most` surest detections of one class in one image, equals in their order."""
    order = np.argsort(-found.scores, kind="stable")[:most]
    boxes, count = found.boxes[order].astype(np.float64), len(order)
    shares = agreement(boxes, wanted.boxes.astype(np.float64), wanted.crowd)
    passed = outside(wanted.areas) | wanted.crowd
    right = np.zeros((len(AREAS), len(THRESHOLDS), count), bool)
    ignored = right.copy()
    taken = np.zeros((len(AREAS), len(THRESHOLDS), len(wanted.labels)), bool)
    for i in range(count) if len(wanted.labels) else ():
        enough = (~taken | wanted.crowd) & (shares[i] >= THRESHOLDS[:, None])
        counted, place = last_best(enough & ~passed[:, None], shares[i])
        passes, second = last_best(enough & passed[:, None], shares[i])
        passes &= ~counted
        place = np.where(counted, place, second)
        right[..., i], ignored[..., i] = counted, passes
        area, threshold = np.nonzero(counted | passes)
        taken[area, threshold, place[area, threshold]] = True
    ignored |= ~right & ~ignored & outside(areas_of(boxes))[:, None]
    return Judged(found.scores[order], right, ignored, (~passed).sum(1))


def last_best(allowed: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns whether any object is allowed, and the place of the best, of equals the last."""
    values = np.where(allowed, shares, -1)[..., ::-1]
    any_allowed: np.ndarray = np.any(allowed, axis=-1)
    return any_allowed, allowed.shape[-1] - 1 - np.argmax(values, axis=-1)


def of_class(images: Sequence[Judged]) -> np.ndarray:
    """Returns the average precisions (areas, thresholds) of a class; NaN without an object."""
    result = np.full((len(AREAS), len(THRESHOLDS)), np.nan)
    objects = sum((one.objects for one in images), np.zeros(len(AREAS), int))
    if not images:
        return result
    order = np.argsort(-np.concatenate([one.scores for one in images]), kind="stable")
    right, ignored = (
        np.concatenate([getattr(one, name) for one in images], -1)[..., order]
        for name in ("right", "ignored")
    )
    hits = np.cumsum(right, -1, dtype=np.float64)
    misses = np.cumsum(~right & ~ignored, -1, dtype=np.float64)
    precision = hits / (hits + misses + np.spacing(1))
    # The best that this recall or a higher one is had at.
    falling = np.maximum.accumulate(precision[..., ::-1], -1)[..., ::-1]
    for area, count in enumerate(objects):
        for threshold in range(len(THRESHOLDS)) if count else ():
            places = np.searchsorted(hits[area, threshold] / count, RECALLS)
            curve = np.append(falling[area, threshold], 0)
            result[area, threshold] = curve[places].mean()
    return result


def average_precision(
    found: Sequence[Found], wanted: Sequence[Wanted], classes: int, most: int = 100
) -> np.ndarray:
    """Returns the average precision of each class, (areas, thresholds, classes).

    Args:
      found, wanted: of each image; labels outside 0 to classes - 1 are none.
      most: detections of a class that count in an image.

    A class without an object of an area has none there: NaN.
    """
    images: list[list[Judged]] = [[] for _ in range(classes)]
    for one, other in zip(found, wanted, strict=True):
        for label in np.union1d(one.labels, other.labels):
            if 0 <= label < classes:
                a, b = one.labels == label, other.labels == label
                own = Found(one.boxes[a], one.labels[a], one.scores[a])
                there = Wanted(other.boxes[b], other.labels[b], other.crowd[b], other.areas[b])
                images[label].append(judged(own, there, most))
    return np.stack([of_class(each) for each in images], -1)
