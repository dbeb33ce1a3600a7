"""The record that travels with weights, and the functions that follow it."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageOps

from cnnjax import data, images
from cnnjax.errors import InputError
from tests.image_files import drawn, exif_block, written

WIDE, TALL, SMALL = drawn(30, 61), drawn(47, 20), drawn(9, 7)


@pytest.mark.parametrize("name", images.PRESETS)
def test_a_record_comes_back_from_json(name):
    record = images.preset(name, (96, 128), exif=False, background=(1, 2, 3))
    assert images.from_json(images.as_json(record)) == record
    assert hash(images.from_json(images.as_json(record))) == hash(record)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("pixels", [WIDE, TALL, SMALL])
def test_squash_is_pillows_resize(pixels, interpolation):
    record = images.Preprocessing((24, 32), interpolation=interpolation)
    rule = Image.Resampling[interpolation.upper()]
    expected = np.asarray(Image.fromarray(pixels).resize((32, 24), rule))
    np.testing.assert_array_equal(images.resized(pixels, record), expected)
    # Channel by channel, as arrays of any number of channels are resized.
    four = images.resized(np.dstack([pixels, pixels[..., :1]]), record)
    np.testing.assert_array_equal(four, np.dstack([expected, expected[..., :1]]))


@pytest.mark.parametrize("pixels", [WIDE, TALL, SMALL])
@pytest.mark.parametrize("background", [(255, 255, 255), (9, 80, 200)])
def test_pad_is_pillows_pad(pixels, background):
    record = images.Preprocessing((24, 32), resize="pad", background=background)
    image = Image.fromarray(pixels)
    expected = ImageOps.pad(image, (32, 24), Image.Resampling.BILINEAR, background)
    np.testing.assert_array_equal(images.resized(pixels, record), np.asarray(expected))
    grey = dataclasses.replace(record, channels=1)
    colour = Image.new("RGB", (1, 1), background).convert("L").getpixel((0, 0))
    expected = ImageOps.pad(image.convert("L"), (32, 24), Image.Resampling.BILINEAR, colour)
    ours = images.resized(np.asarray(image.convert("L"))[..., None], grey)
    np.testing.assert_array_equal(ours[..., 0], np.asarray(expected))


def test_a_crop_keeps_the_middle_and_the_proportions():
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, 40:80] = 200
    kept = images.resized(pixels, images.Preprocessing((20, 20), resize="crop"))
    assert (kept[:, 1:-1] == 200).all() and kept.min() > 150
    squashed = images.resized(pixels, images.Preprocessing((20, 20)))
    assert squashed[:, 0].max() == 0 and squashed[:, 10].min() == 200


@pytest.mark.parametrize("fraction", [0.3, 224 / 232, 1.0])
@pytest.mark.parametrize("size", [(24, 24), (20, 33), (33, 20), (1, 1)])
@pytest.mark.parametrize("pixels", [WIDE, TALL, SMALL, drawn(1, 200)])
def test_every_image_gets_the_size(pixels, size, fraction):
    for rule in ("squash", "crop", "pad"):
        record = images.Preprocessing(size, resize=rule, crop_fraction=fraction)
        assert images.resized(pixels, record).shape == (*size, 3)


def test_without_a_size_images_stay_as_they_are():
    assert images.resized(WIDE, images.Preprocessing((0, 0))) is WIDE


def test_a_file_is_read_as_the_record_says():
    image = Image.fromarray(np.dstack([WIDE, np.full(WIDE.shape[:2], 0, np.uint8)]))
    file = written(image, "PNG", exif=exif_block(6))
    record = images.Preprocessing((0, 0), channels=1, background=(10, 10, 10))
    assert images.load(file, record).shape == (61, 30, 1)
    assert (images.load(file, record) == 10).all()
    record = dataclasses.replace(record, exif=False, channels=4)
    assert images.load(file, record).shape == (30, 61, 4)


def test_the_input_of_a_network_is_scaled_shifted_and_ordered():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    record = images.Preprocessing(order="bgr", scale=1 / 127.5, mean=mean, std=std)
    expected = (pixels[..., ::-1] / 127.5 - np.array(mean)) / np.array(std)
    ours = np.asarray(images.normalized(pixels, record))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_the_input_is_what_training_has_always_seen_to_the_bit():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), np.uint8)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    before = data.normalize(pixels, mean, std)
    record = images.Preprocessing(mean=mean, std=std)
    np.testing.assert_array_equal(images.normalized(pixels, record), before)
    unit = images.normalized(pixels, images.preset("unit"))
    np.testing.assert_array_equal(unit, data.normalize(pixels))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"resize": "crops"}, "preprocessing.resize is 'crops'; did you mean crop"),
        ({"interpolation": "cubic"}, "is 'cubic'; did you mean bicubic"),
        ({"size": (3,)}, "size must be height and width"),
        ({"size": (0, 3)}, "size must be two numbers above 0"),
        ({"size": "big"}, "size must be tuple"),
        ({"crop_fraction": 0.0}, r"crop_fraction must lie in \(0, 1\]"),
        ({"channels": 0}, "channels must be 1 or more"),
        ({"order": "bgr", "channels": 1}, "bgr, which needs 3"),
        ({"scale": float("nan")}, "scale must be above 0"),
        ({"mean": (0.1, 0.2)}, "mean must be 1 or 3 numbers"),
        ({"std": (0.0,)}, "std must be above 0"),
        ({"background": (256, 0, 0)}, "background must be three numbers"),
        ({"sizes": 3}, "no field 'sizes'; did you mean size"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(fields, words):
    with pytest.raises(InputError, match=words):
        images.from_json(fields)


def test_text_that_is_no_record_is_refused():
    for text in ("{", "[1]"):
        with pytest.raises(InputError, match="the preprocessing"):
            images.from_json(text)
    with pytest.raises(InputError, match="unknown preprocessing 'cafe'; did you mean caffe"):
        images.preset("cafe")


@pytest.mark.parametrize("rule", ["squash", "crop", "pad"])
@pytest.mark.parametrize("fraction", [0.5, 1.0])
@pytest.mark.parametrize("picture", [(120, 480), (480, 120), (200, 200)])
def test_a_view_says_where_in_the_picture_the_network_looks(picture, fraction, rule):
    """A grid whose values are its places: read where the network sees it, and where it should."""
    height, width = picture
    rows, columns = np.mgrid[0:height, 0:width]
    places = np.stack([columns * 255 / width, rows * 255 / height], -1)
    pixels = np.dstack([places, np.full(picture, 255)]).astype(np.uint8)
    record = images.Preprocessing((40, 60), rule, fraction, background=(0, 0, 0))
    seen = images.resized(pixels, record)
    left, top, right, bottom = images.view(picture, record)
    row, column = np.mgrid[0:40, 0:60]
    expected_x = (left + (right - left) * (column + 0.5) / 60) * 255
    expected_y = (top + (bottom - top) * (row + 0.5) / 40) * 255
    inside = seen[..., 2] == 255
    assert inside.any()
    assert abs(seen[..., 0] - expected_x)[inside].max() < 10
    assert abs(seen[..., 1] - expected_y)[inside].max() < 10
