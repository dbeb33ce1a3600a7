"""One object per image: its class and the box around it, from scenes to pictures."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from cnnjax import data, images, tasks
from cnnjax.errors import InputError
from cnnjax.evaluation import predict, trained
from cnnjax.tasks import boxes, localization
from cnnjax.train import run
from tests import tiny

SIDE = 40
SCENES = {"data__name": "scenes", "data__size": 24, "epochs": 2.0, "augment": "flip|zoom(0.8,1.2)"}


def raster(box):
    """Returns which of SIDE x SIDE cells a box of whole cells covers."""
    left, top, right, bottom = box
    inside = np.zeros((SIDE, SIDE), bool)
    inside[top:bottom, left:right] = True
    return inside


def pairs():
    """Returns pairs of boxes: apart, touching, overlapping, one in the other, equal, empty."""
    draw = np.random.default_rng(0)
    corners = np.sort(draw.integers(0, SIDE + 1, (60, 2, 2, 2)), axis=2)
    one, other = corners.reshape(60, 2, 4).swapaxes(0, 1)
    special = [[5, 5, 9, 9], [9, 5, 12, 9], [0, 0, 40, 40], [5, 5, 9, 9], [3, 3, 3, 3]]
    return np.vstack([one, special]), np.vstack([other, special[::-1]])


def test_agreement_of_boxes_is_that_of_the_cells_they_cover():
    one, other = pairs()
    found = boxes.iou(np.float32(one), np.float32(other))
    general = boxes.giou(np.float32(one), np.float32(other))
    for a, b, value, wider in zip(one, other, found, general, strict=True):
        both, either = (raster(a) & raster(b)).sum(), (raster(a) | raster(b)).sum()
        assert value == pytest.approx(both / either if either else 0, abs=1e-6)
        hull = raster([*np.minimum(a, b)[:2], *np.maximum(a, b)[2:]]).sum()
        if either and hull:
            assert wider == pytest.approx(both / either - (hull - either) / hull, abs=1e-6)


def test_the_loss_moves_a_box_to_one_that_it_does_not_touch():
    targets = {"label": np.array([1]), "box": np.float32([[0.7, 0.1, 0.9, 0.3]])}
    outputs = np.zeros((1, 3 + 4), np.float32)
    outputs[0, -4:] = [-2, 1, -2, -2]
    step = jax.jit(jax.grad(lambda o: localization.loss(o, targets).sum()))
    for i in range(1500):
        outputs = outputs - 0.1 / (1 + i / 50) * step(outputs)
    found = localization.measures(outputs, targets)
    assert bool(found["localized"][0]) and found["iou"][0] > 0.9
    none = targets | {"box": np.zeros((1, 4), np.float32)}
    assert not np.any(jax.grad(lambda o: localization.loss(o, none).sum())(outputs)[:, -4:])
    broken = targets | {"box": np.full((1, 4), np.nan, np.float32)}
    assert np.isnan(localization.loss(outputs, broken)).all()


def test_an_example_counts_where_class_and_box_are_right():
    box = np.log(np.float32([0.5, 0.5, 0.4, 0.4]) / np.float32([0.5, 0.5, 0.6, 0.6]))
    outputs = np.vstack([np.concatenate([[3, 0], box])] * 4).astype(np.float32)
    wanted = np.float32([[0.3, 0.3, 0.7, 0.7], [0.3, 0.3, 0.7, 0.51], [0.3, 0.3, 0.7, 0.49],
                         [0.3, 0.3, 0.7, 0.7]])  # fmt: skip
    outputs[3, -1] = np.nan
    targets = {"label": np.array([0, 0, 0, 0]), "box": wanted}
    summed = tasks.sums(localization.TASK, outputs, targets, np.zeros(4), np.ones(4))
    figures = tasks.report(localization.TASK, summed)
    assert figures["localized"] == 0.5 and figures["accuracy"] == 1
    assert figures["mean_iou"] == pytest.approx((1 + 0.525 + 0.475) / 4, abs=1e-5)


def test_scenes_are_a_function_of_the_seed_and_boxes_lie_around_the_ink():
    one, same = (data.load("scenes", examples=40, size=32) for _ in range(2))
    other = data.load("scenes", examples=40, size=32, draw_seed=1)
    np.testing.assert_array_equal(one.train.images, same.train.images)
    assert not np.array_equal(one.train.images, other.train.images)
    assert one.facts == data.Facts((32, 32, 1), tuple("0123456789"))
    for split in (one.train, one.test):
        corners = split.targets["box"] * 32
        np.testing.assert_allclose(corners, np.round(corners), atol=1e-4)
        for image, (left, top, right, bottom) in zip(split.images, corners.round(), strict=True):
            assert 0 <= left < right <= 32 and 0 <= top < bottom <= 32
            bright = np.zeros((32, 32), bool)
            bright[int(top) : int(bottom), int(left) : int(right)] = True
            assert image[bright].mean() > image[~bright].mean() + 15
    with pytest.raises(InputError, match="24 pixels or more"):
        data.load("scenes", size=20)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("localization")
    return workdir, run.run(tiny.config(**SCENES), workdir)


def test_a_run_has_the_figures_of_localization_and_refuses_what_mixes(finished, tmp_path):
    workdir, result = finished
    assert {"test_localized", "test_mean_iou", "test_accuracy", "test_loss"} <= result.keys()
    assert json.loads((workdir / "config.json").read_text())["task"] == "localization"
    network = trained.load(workdir)
    assert network.module.classes == 14
    with pytest.raises(InputError, match="cutmix makes one image of two"):
        run.run(tiny.config(**SCENES | {"augment": "cutmix(1)"}), tmp_path)
    split = trained.load_data(network.config).test
    found = predict.predictions(network, list(split.images))
    agreement = boxes.iou(found["box"], split.targets["box"])
    assert result["test_mean_iou"] == pytest.approx(float(agreement.mean()), abs=1e-5)


def test_boxes_are_in_the_pixels_of_the_picture_and_drawn_there(finished, tmp_path):
    network = trained.load(finished[0])
    file = tmp_path / "wide.png"
    Image.new("RGB", (96, 48), "gray").save(file)
    prediction = {"probability": np.full((1, 10), 0.1), "box": np.float32([[0, 0, 0.5, 1]])}
    prediction = {name: array[0] for name, array in prediction.items()}
    seen = predict.in_picture(network, file, prediction)
    (finding,) = localization.findings(seen.prediction, seen.facts)
    # Of a picture twice as wide as high, the network sees the middle: columns 24 to 72.
    assert finding["box"] == [24, 0, 48, 48]
    predict.write_pictures(tmp_path / "out", [str(file)], [seen], network.task)
    drawn = np.asarray(Image.open(tmp_path / "out" / "wide.png"))[:48, :96]
    columns = np.nonzero((drawn != 128).any((0, 2)))[0]
    assert columns.min() == 24 and columns.max() == 48


def test_a_view_covers_the_picture_in_the_smaller_direction():
    def view(picture, size):
        return images.view(picture, images.Preprocessing(size, "crop"))

    assert view((48, 96), (24, 24)) == (0.25, 0, 0.75, 1)
    assert view((90, 30), (24, 24)) == pytest.approx((0, 1 / 3, 1, 2 / 3))
    assert view((20, 40), (24, 48)) == (0, 0, 1, 1)
