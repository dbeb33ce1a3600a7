"""Some classes of a data set, and some of its images."""

import numpy as np
import pytest

from cnnjax import data
from cnnjax.errors import InputError


def test_some_classes_and_images_are_those_of_the_whole_set():
    whole = data.load("digits", validation=0.0)
    part = data.load("digits", validation=0.0, only=("7", "2"), limit=40, seed=3)
    assert part.class_names == ("7", "2") and len(part.train) in (39, 40, 41)
    counts = np.bincount(part.train.targets["label"])
    assert len(counts) == 2 and abs(counts[0] - counts[1]) <= 2
    pixels = {image.tobytes(): label for image, label in
              zip(whole.train.images, whole.train.targets["label"], strict=True)}  # fmt: skip
    for image, label in zip(part.train.images, part.train.targets["label"], strict=True):
        assert pixels[image.tobytes()] == (7, 2)[label]
    assert (np.isin(whole.test.targets["label"], (2, 7))).sum() == len(part.test)
    other = data.load("digits", validation=0.0, only=("7", "2"), limit=40, seed=4)
    assert not np.array_equal(part.train.images, other.train.images)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"only": ("10",)}, "data.only names '10'; did you mean"),
        ({"only": ("1", "1")}, "names a class twice"),
        ({"limit": 5000}, "data.limit=5000 of 1294 training examples|data.limit=5000 of"),
    ],
)
def test_a_subset_that_is_none_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        data.load("digits", **options)
