"""Several objects per image, as arrays of one shape."""

import numpy as np
import pytest

from cnnjax import data
from cnnjax.data.objects import NONE, Objects, padded
from cnnjax.data.scenes import COVERED, covers
from cnnjax.errors import InputError


def test_objects_are_padded_to_one_shape_in_shares_of_their_image():
    one = Objects.of_pixels([[10, 0, 30, 20]], [4], (40, 80), areas=[123])
    none = Objects.of_pixels([], [], (10, 10))
    targets = padded([one, none], 2)
    assert targets["boxes"].shape == (2, 2, 4) and targets["boxes"].dtype == np.float32
    assert targets["boxes"][0, 0].tolist() == [0.125, 0, 0.375, 0.5]
    assert targets["labels"].tolist() == [[4, NONE], [NONE, NONE]]
    assert targets["areas"][0].tolist() == [123, 0] and not targets["crowd"].any()
    assert targets["size"].tolist() == [[40, 80], [10, 10]]
    assert padded([none])["boxes"].shape == (1, 1, 4)


def test_scenes_of_several_digits_are_a_function_of_the_seed():
    settings = {"task": "detection", "examples": 60, "size": 64, "objects": 5}
    one, same = (data.load("scenes", **settings) for _ in range(2))
    other = data.load("scenes", **settings, draw_seed=1)
    for name, array in one.train.arrays.items():
        np.testing.assert_array_equal(array, same.train.arrays[name])
    assert not np.array_equal(one.train.images, other.train.images)
    targets = one.train.targets
    held = targets["labels"] != NONE
    assert set(held.sum(1)) == {1, 2, 3, 4, 5}
    assert not targets["boxes"][~held].any() and held[:, 0].all()
    for image, boxes, labels in zip(
        one.train.images[..., 0], targets["boxes"] * 64, targets["labels"], strict=True
    ):
        boxes = np.round(boxes[labels != NONE]).astype(int)
        assert ((boxes >= 0) & (boxes <= 64)).all()
        ink = np.zeros((64, 64), bool)
        for number, (left, top, right, bottom) in enumerate(boxes):
            ink[top:bottom, left:right] = True
            assert all(covers(boxes[number], b) <= COVERED for b in boxes[:number])
        assert image[ink].mean() > image[~ink].mean() + 15
    with pytest.raises(InputError, match="at least 1 of objects"):
        data.load("scenes", task="detection", objects=0)
