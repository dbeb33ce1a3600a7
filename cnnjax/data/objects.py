"""The objects of images as arrays of one shape: what detection needs to know of an example."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

# The label of a row that pads.
NONE = -1


@dataclasses.dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one image.

    Attributes:
      boxes: (objects, 4), left, top, right and bottom in shares of the image's width and height.
      labels: (objects,), classes.
      crowd: (objects,), whether a box holds many objects that are not told apart; such, and what is
        to be ignored, teach nothing and are neither found nor missed.
      areas: (objects,), in pixels of the original: small, medium and large go by it.
      size: height and width of the original in pixels.
    """

    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray
    size: tuple[int, int]

    @staticmethod
    def of_pixels(
        boxes: Any,
        labels: Any,
        size: tuple[int, int],
        crowd: Any = None,
        areas: Any = None,
    ) -> Objects:
        """Returns objects of boxes in pixels, of the areas of these boxes where none are given."""
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        if areas is None:
            areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        crowd = np.zeros(len(boxes), bool) if crowd is None else np.asarray(crowd, bool)
        scale = np.array([size[1], size[0]] * 2)
        labels = np.asarray(labels, np.int32).reshape(-1)
        return Objects(boxes / scale, labels, crowd, np.asarray(areas, np.float64), size)

    def __len__(self) -> int:
        return len(self.labels)


def padded(found: Sequence[Objects], most: int = 0) -> dict[str, np.ndarray]:
    """Returns the targets of detection, (images, most, ...), padded with `NONE` and boxes of zeros.

    `most` is at least the largest number of objects of an image, and 1.
    """
    most = max(most, 1, *map(len, found))
    result = {
        "boxes": np.zeros((len(found), most, 4), np.float32),
        "labels": np.full((len(found), most), NONE, np.int32),
        "crowd": np.zeros((len(found), most), bool),
        "areas": np.zeros((len(found), most), np.float32),
        "size": np.array([objects.size for objects in found], np.float32).reshape(-1, 2),
    }
    for row, objects in enumerate(found):
        for name in ("boxes", "labels", "crowd", "areas"):
            result[name][row, : len(objects)] = getattr(objects, name)
    return result
