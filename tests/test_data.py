"""Data sets: counts, splits, statistics, and batches as a function of (seed, step)."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from cnnjax import data
from cnnjax.data import dataset
from cnnjax.errors import InputError


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def test_digits_are_scikit_learns(digits):
    images, _ = load_digits(return_X_y=True)
    parts = (digits.train, digits.validation, digits.test)
    ours = np.concatenate([part.images for part in parts]).reshape(-1, 64)
    theirs = np.rint(images * 255 / 16)
    assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs.astype(np.uint8)))
    assert digits.shape == (8, 8, 1) and digits.classes == 10
    assert all(part.images.dtype == np.uint8 for part in parts)
    assert all(part.targets["label"].dtype == np.int32 for part in parts)


def test_digits_split_is_stratified(digits):
    share = np.bincount(digits.test.targets["label"]) / np.bincount(load_digits().target)
    np.testing.assert_allclose(share, 0.2, atol=0.005)


def test_test_split_does_not_depend_on_the_seed_but_validation_does(digits):
    other = data.load("digits", seed=1)
    np.testing.assert_array_equal(other.test.images, digits.test.images)
    assert not np.array_equal(other.validation.images, digits.validation.images)
    again = data.load("digits", seed=0)
    np.testing.assert_array_equal(again.validation.images, digits.validation.images)


def test_statistics_equal_numpys():
    images = np.random.default_rng(0).integers(0, 256, (50, 7, 5, 3), np.uint8)
    mean, std = dataset.statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std((0, 1, 2)), rtol=1e-12)


def test_normalised_training_pixels_have_mean_zero_and_deviation_one(digits):
    pixels = np.asarray(data.normalize(digits.train.images, digits.mean, digits.std))
    assert pixels.dtype == np.float32
    assert abs(pixels.mean()) < 1e-5 and abs(pixels.std() - 1) < 1e-5


def test_a_constant_channel_is_only_centred():
    mean, std = dataset.statistics(np.full((4, 2, 2, 1), 51, np.uint8))
    assert std == (1.0,) and mean == pytest.approx((0.2,))


def test_every_example_passes_once_per_epoch_across_ragged_batches():
    count, size = 103, 10
    seen = np.concatenate([dataset.batch_indices(count, 7, step, size) for step in range(31)])
    for epoch in range(3):
        passed = seen[epoch * count : (epoch + 1) * count]
        np.testing.assert_array_equal(np.sort(passed), np.arange(count))
    assert not np.array_equal(seen[:count], seen[count : 2 * count])


def test_a_batch_is_a_function_of_seed_and_step():
    forwards = [dataset.batch_indices(50, 3, step, 8) for step in range(20)]
    dataset.order.cache_clear()
    backwards = [dataset.batch_indices(50, 3, step, 8) for step in reversed(range(20))]
    np.testing.assert_array_equal(forwards, backwards[::-1])
    assert not np.array_equal(forwards[0], dataset.batch_indices(50, 4, 0, 8))


def test_a_batch_may_be_larger_than_the_set():
    indices = dataset.batch_indices(5, 0, 2, 12)
    assert len(indices) == 12 and set(indices) == set(range(5))


def test_hold_out_is_disjoint_stratified_and_keeps_one_of_each_class():
    labels = np.repeat(np.arange(3, dtype=np.int32), [1, 10, 100])
    images = np.arange(111, dtype=np.uint8).reshape(-1, 1, 1, 1)
    kept, held = dataset.hold_out(data.Split(images, {"label": labels}), 0.2, 0, "label")
    assert np.bincount(held.targets["label"]).tolist() == [0, 2, 20]
    assert sorted([*kept.images.ravel(), *held.images.ravel()]) == list(range(111))


def test_no_class_loses_its_last_example_to_validation():
    labels = np.repeat(np.arange(4, dtype=np.int32), [1, 2, 3, 100])
    images = np.zeros((106, 1, 1, 1), np.uint8)
    kept, held = dataset.hold_out(data.Split(images, {"label": labels}), 0.99, 0, "label")
    assert np.bincount(kept.targets["label"]).tolist() == [1, 1, 1, 1]
    assert np.bincount(held.targets["label"]).tolist() == [0, 1, 2, 99]


def test_a_share_that_holds_nothing_out_is_refused():
    labels = np.arange(4, dtype=np.int32)
    images = np.zeros((4, 1, 1, 1), np.uint8)
    with pytest.raises(InputError, match="holds none out"):
        dataset.hold_out(data.Split(images, {"label": labels}), 0.1, 0, "label")


def test_no_validation_leaves_train_whole():
    assert len(data.load("digits", validation=0.0).validation) == 0


def test_images_are_resized_on_request():
    assert data.load("digits", image_size=28).shape == (28, 28, 1)


def test_synthetic_shapes_are_drawn_alike_from_the_same_seed_and_differ_otherwise():
    first, again = (data.load("synthetic", examples=40, size=16) for _ in range(2))
    np.testing.assert_array_equal(first.train.images, again.train.images)
    other = data.load("synthetic", examples=40, size=16, draw_seed=5)
    assert not np.array_equal(first.train.images, other.train.images)
    assert data.load("synthetic", examples=80, channels=3, classes=8).shape == (32, 32, 3)


def test_a_bright_shape_lies_on_a_dark_ground():
    drawn = data.load("synthetic", examples=64, validation=0.0).train.images[..., 0]
    bright = (drawn > 140).mean((1, 2))
    assert (bright > 0.02).all() and (bright < 0.6).all()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("digit", {}, "unknown data set 'digit'; did you mean digits"),
        ("synthetic", {"sizes": 3}, "no field 'sizes'; did you mean size"),
        ("synthetic", {"classes": 9}, "2 to 8 classes, not 9"),
        ("synthetic", {"examples": 0}, "at least 1 example"),
        ("synthetic", {"draw_seed": -1}, "draw_seed must be 0 or more; given -1"),
        ("digits", {"size": 8}, "data set digits has no field 'size'"),
    ],
)
def test_what_does_not_exist_is_refused_in_words(name, options, words, tmp_path):
    with pytest.raises(InputError) as error:
        data.load(name, str(tmp_path), **options)
    assert words in str(error.value)


def test_mnist_is_read_whole_without_tensorflow(shared):
    # The published statistics of MNIST's 60,000 training images (PyTorch's MNIST example).
    mnist = data.load("mnist", str(shared / "tfds"), validation=0.0)
    assert (len(mnist.train), len(mnist.test)) == (60_000, 10_000)
    assert mnist.mean == pytest.approx((0.1307,), abs=5e-5)
    assert mnist.std == pytest.approx((0.3081,), abs=5e-5)
    # Yann LeCun's page: class counts of the training set.
    assert np.bincount(mnist.train.targets["label"])[:2].tolist() == [5923, 6742]


def test_decoded_sets_come_from_the_cache_the_second_time(shared, monkeypatch):
    first = data.load("mnist", str(shared / "tfds"))

    def no_decoding(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr("cnnjax.data.sources.decode", no_decoding)
    again = data.load("mnist", str(shared / "tfds"))
    np.testing.assert_array_equal(first.train.images, again.train.images)
