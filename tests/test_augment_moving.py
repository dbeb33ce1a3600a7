"""Boxes, points and masks go where the pixels of their image go."""

import jax
import numpy as np
import pytest

from cnnjax import augment
from cnnjax.augment.moving import Moves, boxes

SIZE = (24, 32)
# Every operation that moves pixels, strong enough to push things out of the image.
TEXTS = ("flip(1)", "vflip(1)", "crop(8)", "shift(0.4)", "rotate(40)", "shear(20)", "zoom(0.6,1.6)",
         "stretch(0.4)", "resized_crop(0.4)", "flip|blur(0.1)|rotate(30)")  # fmt: skip


def scenes(count=24):
    """Returns images with one bright rectangle each, its box, corners and mask."""
    draw = np.random.default_rng(0)
    left, top = draw.integers(2, 20, count), draw.integers(2, 14, count)
    right, bottom = left + draw.integers(5, 10, count), top + draw.integers(5, 9, count)
    rows, columns = np.arange(SIZE[0])[:, None], np.arange(SIZE[1])
    each = (x[:, None, None] for x in (left, top, right, bottom))
    l, t, r, b = each  # noqa: E741
    mask = (columns >= l) & (columns < r) & (rows >= t) & (rows < b)
    box = np.stack([left, top, right, bottom], 1) / np.tile(SIZE[::-1], 2)
    return mask, box.astype(np.float32)


def moved(text, moves, targets, images):
    change = jax.jit(lambda *x: augment.pipeline(text)(jax.random.key(1), *x, moves=moves))
    images, targets = change(images, targets)
    return np.asarray(images), jax.tree.map(np.asarray, targets.own)


@pytest.mark.parametrize("text", TEXTS)
def test_a_box_is_around_the_bright_pixels_and_a_mask_upon_them(text):
    mask, box = scenes()
    targets = {"box": box, "mask": mask.astype(np.int32), "name": np.arange(len(box))}
    moves = {"box": Moves("boxes", least=0.0), "mask": Moves("mask")}
    images, found = moved(text, moves, targets, np.uint8(mask[..., None] * 255))
    np.testing.assert_array_equal(found["name"], targets["name"])
    seen = 0
    for image, box, mask in zip(images[..., 0], found["box"], found["mask"], strict=True):
        assert np.mean((image > 127) != mask) < 0.03
        rows, columns = np.nonzero(image > 127)
        if len(rows) < 12:
            continue
        seen += 1
        tight = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        np.testing.assert_allclose(box * np.tile(SIZE[::-1], 2), tight, atol=1.6)
    assert seen > 8


def test_a_box_is_cut_at_the_edge_and_dropped_below_its_least_share():
    box = np.float32([[0.5, 0.0, 1.0, 0.5], [0.0, 0.2, 0.5, 0.4], [0, 0, 0, 0]])
    shifted = np.float32([[1, 0, -8], [0, 1, 0], [0, 0, 1]])  # a quarter of 32 to the right
    found = boxes(box, Moves("boxes", least=0.5), shifted, "constant", SIZE)
    np.testing.assert_allclose(found, [[0.75, 0, 1, 0.5], [0.25, 0.2, 0.75, 0.4], [0] * 4])
    assert np.isnan(boxes(box * np.nan, Moves("boxes"), shifted, "constant", SIZE)).all()
    found = boxes(box, Moves("boxes", least=0.51), shifted, "constant", SIZE)
    np.testing.assert_allclose(found, [[0] * 4, [0.25, 0.2, 0.75, 0.4], [0] * 4])


def test_points_move_and_change_their_names_in_a_mirror_only():
    points = np.float32([[[0.25, 0.3], [0.75, 0.4], [0.5, 0.9]]])
    images, moves = np.zeros((1, *SIZE, 1), np.uint8), {"points": Moves("points", swaps=((0, 1),))}
    for text, expected in {
        "flip(1)": [[0.25, 0.4], [0.75, 0.3], [0.5, 0.9]],
        "vflip(1)": [[0.75, 0.6], [0.25, 0.7], [0.5, 0.1]],
        "flip(1)|vflip(1)": [[0.75, 0.7], [0.25, 0.6], [0.5, 0.1]],
    }.items():
        _, found = moved(text, moves, {"points": points}, images)
        np.testing.assert_allclose(found["points"][0], expected, atol=1e-6)


def test_beyond_the_image_a_mask_is_filled_or_follows_the_edge():
    images, mask = np.full((16, *SIZE, 1), 200, np.uint8), np.full((16, *SIZE), 3, np.uint8)
    for text, edge in (("crop(8)", 255), ("crop(8,reflect)", 3)):
        pixels, found = moved(text, {"mask": Moves("mask", fill=255)}, {"mask": mask}, images)
        assert found["mask"].dtype == np.uint8
        np.testing.assert_array_equal(found["mask"] == 3, pixels[..., 0] > 100)
        assert set(np.unique(found["mask"])) == {3, edge}
