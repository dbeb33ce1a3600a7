"""The data set `masks`: folders of images with a class per pixel, right and wrong ones."""

import numpy as np
import pytest
from PIL import Image

from cnnjax import data
from cnnjax.data import IGNORED
from cnnjax.data.spoiled import field, spoiled
from cnnjax.errors import InputError

NAMES = ("a", "b", "c", "d")


def numbers(seed=0, most=3, size=(8, 10)):
    return np.random.default_rng(seed).integers(0, most, size).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Four grey images, whose pixels are 60 times the class, and palette masks."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for i, name in enumerate(NAMES):
        Image.fromarray(numbers(i) * 60).save(tmp_path / "images" / f"{name}.png")
        write(tmp_path, name, numbers(i))
    (tmp_path / "split.csv").write_text(
        "file,split\na.png,train\nb.png,train\nc.png,validation\nd.png,test\n"
    )
    return tmp_path


def write(folder, name, mask, mode="P"):
    picture = Image.fromarray(mask)
    if mode == "P":
        picture = picture.convert("P")
        picture = Image.fromarray(mask, "P")
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.save(folder / "masks" / f"{name}.png")


def load(folder, **options):
    return data.load("masks", path=str(folder), task="segmentation", **options)


def test_images_masks_and_splits_are_read(folder):
    found = load(folder, classes=("other", "cat", "dog"))
    assert found.class_names == ("other", "cat", "dog") and found.shape == (8, 10, 1)
    assert [len(s) for s in (found.train, found.validation, found.test)] == [2, 1, 1]
    for split, seeds in ((found.train, (0, 1)), (found.validation, (2,)), (found.test, (3,))):
        for image, mask, seed in zip(split.images, split.targets["mask"], seeds, strict=True):
            np.testing.assert_array_equal(mask, numbers(seed))
            np.testing.assert_array_equal(image[..., 0], numbers(seed) * 60)
    assert load(folder).class_names == ("0", "1", "2")


def test_without_splits_a_share_is_the_test(folder):
    (folder / "split.csv").unlink()
    found = load(folder, test=0.25, validation=0)
    assert len(found.train) == 3 and len(found.test) == 1
    assert any("the test split" in note for note in found.notes)


def test_colours_are_read_by_their_legend(folder):
    (folder / "classes.csv").write_text("name,value\nsky,#0000ff\nsea,#00ff00\nvoid,#ffffff\n")
    colours = np.uint8([(0, 0, 255), (0, 255, 0), (255, 255, 255)])
    for i, name in enumerate(NAMES):
        write(folder, name, colours[numbers(i)], "RGB")
    found = load(folder)
    assert found.class_names == ("sky", "sea")
    mask = np.uint8([0, 1, IGNORED])[numbers(3)]
    np.testing.assert_array_equal(found.test.targets["mask"][0], mask)
    write(folder, "b", np.full((8, 10, 3), 7, np.uint8), "RGB")
    with pytest.raises(InputError, match=r"b.png holds #070707 at \[0, 0\] .* not of classes.csv"):
        load(folder)


def test_masks_keep_to_their_images_when_both_are_resized(folder):
    found = load(folder, image_size=20, resize="pad", interpolation="nearest")
    image, mask = found.test.images[0, ..., 0], found.test.targets["mask"][0]
    assert mask.shape == (20, 20) and (mask[[0, 1, 18, 19]] == IGNORED).all()
    np.testing.assert_array_equal(image[2:18], mask[2:18] * 60)
    assert set(np.unique(mask[2:18])) == {0, 1, 2}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda f: (f / "masks" / "b.png").unlink(), "b.png has no mask: masks/b.png is missing"),
        (lambda f: write(f, "c", numbers(size=(8, 9))), "c.png is 8 x 9, its image 8 x 10"),
        (lambda f: (f / "masks" / "d.png").write_text("x"), "d.png"),
        (lambda f: write(f, "a", np.full((8, 10), 7, np.uint8), "L"), r"a.png holds 7 at \[0, 0\]"),
        (lambda f: write(f, "a", np.zeros((8, 10, 3), np.uint8) + 9, "RGB"), "need a classes.csv"),
        (
            lambda f: (f / "split.csv").write_text("file,split\nz.png,train\n"),
            "line 2: there is no",
        ),
        (lambda f: (f / "split.csv").write_text("file,split\na.png,tset\n"), "split 'tset'"),
        (lambda f: (f / "split.csv").write_text("file,split\na.png,test\n"), "no training images"),
        (lambda f: (f / "split.csv").write_text("a.png,test\n"), "a first line file,split"),
        (lambda f: (f / "split.csv").write_text("file,split\na.png,train\na.png,test\n"), "twice"),
    ],
)
def test_what_is_wrong_is_named(folder, change, error):
    change(folder)
    with pytest.raises(InputError, match=error):
        load(folder, classes=("other", "cat", "dog"))


def test_masks_of_0_and_255_alone_are_not_guessed(folder):
    for name in NAMES:
        write(folder, name, np.where(numbers() > 0, 255, 0).astype(np.uint8), "L")
    with pytest.raises(InputError, match="hold 0 and 255 alone"):
        load(folder)
    (folder / "classes.csv").write_text("name,value\nground,0\nperson,255\n")
    found = load(folder)
    assert found.class_names == ("ground", "person")
    np.testing.assert_array_equal(found.test.targets["mask"][0], numbers() > 0)


def test_images_are_spoiled_as_the_seed_says(folder):
    clean, one = load(folder), load(folder, noise=25.0, bias=0.4)
    same, other = load(folder, noise=25.0, bias=0.4), load(folder, noise=25.0, draw_seed=1)
    np.testing.assert_array_equal(one.train.images, same.train.images)
    assert (one.train.images != other.train.images).any()
    assert (one.train.images != clean.train.images).any()
    np.testing.assert_array_equal(one.test.targets["mask"], clean.test.targets["mask"])


def test_noise_and_field_are_as_large_as_they_say():
    pixels = np.full((2, 64, 64, 1), 128, np.uint8)
    noisy = spoiled(pixels, 25.0, 0.0, 0, "train").astype(float)
    assert noisy.std() == pytest.approx(25, rel=0.05)
    bent = spoiled(pixels, 0.0, 0.4, 0, "train").astype(float)
    assert bent.min() == pytest.approx(128 * 0.6, abs=1) and bent.max() == pytest.approx(
        128 * 1.4, abs=1
    )
    values = field((64, 64), np.random.default_rng(0))
    assert abs(np.diff(values, axis=0)).max() < 0.2  # smooth
