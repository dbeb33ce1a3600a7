"""Splits whose labels are no classes, and sets with a validation split of their own."""

import numpy as np
import pytest

from cnnjax import data, images
from cnnjax.data import sources
from cnnjax.data.dataset import Source, Split
from cnnjax.errors import InputError

NAMES = ("a", "b", "c")


def split(*labels):
    pixels = np.arange(len(labels) * 4, dtype=np.uint8).reshape(-1, 2, 2, 1)
    return Split(pixels, {"label": np.array(labels, np.int32)})


def test_a_test_split_without_labels_gives_way_to_validation_aloud():
    """As that of ImageNet, whose labels are all -1."""
    splits = {"train": split(0, 1, 2), "test": split(-1, -1), "validation": split(0, 1)}
    source = sources.labelled("set", splits, NAMES)
    assert source.test.targets["label"].tolist() == [0, 1] and source.validation is None
    assert "the test split of set has no labels" in source.notes[0]
    assert "tested on its validation split" in source.notes[1]
    with pytest.raises(InputError, match="no labelled split to test on"):
        sources.labelled("set", {"train": split(0), "test": split(-1)}, NAMES)


@pytest.mark.parametrize("name", ["train", "test", "validation"])
@pytest.mark.parametrize("wrong", [-1, 3])
def test_labels_outside_their_range_are_refused_by_split_and_count(name, wrong):
    splits = {"train": split(0, 1), "test": split(0, 1), "validation": split(0, 1)}
    splits[name] = split(0, wrong, 2, wrong)
    words = f"set {name}: 2 of 4 labels are outside 0 to 2, {wrong} among them"
    with pytest.raises(InputError, match=words):
        sources.labelled("set", splits, NAMES)


def test_unlabelled_training_images_are_refused():
    with pytest.raises(InputError, match="set train: 2 of 2 labels"):
        sources.labelled("set", {"train": split(-1, -1), "test": split(0)}, NAMES)


def test_a_validation_split_of_its_own_is_used(monkeypatch):
    splits = {"train": split(*range(3)), "test": split(0), "validation": split(1, 2)}
    source = sources.labelled("set", splits, NAMES)
    assert "a validation split of its own" in source.notes[0]
    monkeypatch.setitem(sources.DATASETS, "own", lambda: source)
    dataset = data.load("own", validation=0.5)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [3, 2, 1]
    assert dataset.notes == source.notes
    without = Source(source.train, source.test, NAMES)
    monkeypatch.setitem(sources.DATASETS, "own", lambda: without)
    with pytest.raises(InputError, match="holds none out"):
        data.load("own", validation=0.5)


def test_16_bits_of_a_data_set_are_scaled_and_other_kinds_refused():
    values = np.array([[[0], [257], [65535]]], np.uint16)
    assert sources.eight_bits(values, "set").ravel().tolist() == [0, 1, 255]
    with pytest.raises(InputError, match="set train holds images of float32"):
        sources.eight_bits(values.astype(np.float32), "set train")


def test_the_way_to_a_size_is_that_of_the_record(monkeypatch):
    wide = np.zeros((3, 10, 30, 1), np.uint8)
    wide[:, :, :10] = 200
    part = Split(wide, {"label": np.arange(3, dtype=np.int32)})
    monkeypatch.setitem(sources.DATASETS, "wide", lambda: Source(part, part, NAMES))
    for rule in ("squash", "crop", "pad"):
        dataset = data.load("wide", image_size=8, resize=rule, validation=0.0)
        record = images.Preprocessing((8, 8), rule, channels=1)
        np.testing.assert_array_equal(dataset.test.images[0], images.resized(wide[0], record))


def test_a_way_that_moves_places_is_refused_where_targets_name_them():
    with pytest.raises(InputError, match="resize=crop would move what 'box' says: give squash"):
        data.load("scenes", examples=20, image_size=24, resize="crop", crop_fraction=0.9)
    assert data.load("scenes", examples=20, image_size=24).shape == (24, 24, 1)
