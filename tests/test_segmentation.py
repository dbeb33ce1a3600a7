"""Segmentation: its figures, its loss, and a run of it."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

from cnnjax import data, parallel, tasks
from cnnjax.augment import pipeline
from cnnjax.data import IGNORED, Facts, Split
from cnnjax.errors import InputError
from cnnjax.evaluation import predict, trained
from cnnjax.evaluation.evaluate import evaluator
from cnnjax.tasks import segmentation
from cnnjax.train import run
from cnnjax.train.stop import Stopped
from tests import tiny
from tests.test_resume import during, send

TASK = tasks.TASKS["segmentation"]
CLASSES, SIZE = 4, (37, 41)
loss, measures = jax.jit(segmentation.loss), jax.jit(segmentation.measures)
pytestmark = pytest.mark.usefixtures("quick_compilation")


def run_of_seconds(**changes):
    config = tiny.config(
        task="segmentation", data__name="scenes", data__size=24, data__examples=40, **changes
    )
    config.epochs, config.dice, config.augment = 2.0, 0.5, "flip"
    del config.model.features, config.model.units, config.model.kernel
    config.model.name, config.model.width, config.model.depth = "unet_padded", 4, 2
    return config


def drawn(examples, seed=0):
    """Returns masks, with some pixels ignored, and logits whose likeliest classes are `found`."""
    generator = np.random.default_rng(seed)
    masks = generator.integers(0, CLASSES, (examples, *SIZE)).astype(np.uint8)
    found = np.where(generator.random(masks.shape) < 0.6, masks, generator.integers(0, CLASSES))
    masks[generator.random(masks.shape) < 0.2] = IGNORED
    logits = np.eye(CLASSES, dtype=np.float32)[found] * 3
    return masks, found, logits + generator.normal(0, 0.1, logits.shape).astype(np.float32)


class Given:
    """A network whose logits are its images."""

    def apply(self, variables, images, train):
        return images


@pytest.mark.parametrize("devices", [1, 4])
def test_figures_are_those_of_scikit_learn_on_any_number_of_devices(devices):
    masks, found, logits = drawn(13)
    mapper = parallel.mapper("auto", devices)
    evaluate = evaluator(TASK, Given(), lambda images: images, mapper, 5)
    figures = evaluate(mapper.replicate({}), Split(logits, {"mask": masks}))
    known = masks != IGNORED
    truth, guess = masks[known], found[known]
    assert figures["examples"] == 13
    wanted = {
        "mean_iou": jaccard_score(truth, guess, average="macro"),
        "dice": f1_score(truth, guess, average="macro"),
        "pixel_accuracy": (truth == guess).mean(),
    }
    for name, value in wanted.items():
        assert figures[name] == pytest.approx(value, abs=1e-12), name


def test_the_confusion_is_that_of_scikit_learn_to_the_pixel():
    masks, found, logits = drawn(3)
    measured = measures(logits, {"mask": masks})
    sums = {name: np.asarray(x).sum(0) for name, x in measured.items()}
    known = masks != IGNORED
    wanted = confusion_matrix(masks[known], found[known], labels=range(CLASSES))
    np.testing.assert_array_equal(segmentation.confusion(sums)[:, :-1], wanted)
    assert segmentation.confusion(sums)[:, -1].sum() == 0


def test_a_logit_that_is_no_number_is_a_wrong_pixel():
    masks, _, logits = drawn(1)
    logits[:, 0] = np.nan
    measured = measures(logits, {"mask": masks})
    lost = segmentation.confusion({n: x[0] for n, x in measured.items()})[:, -1].sum()
    assert lost == (masks[:, 0] != IGNORED).sum()


def test_a_class_that_never_occurs_is_not_averaged():
    masks, _, logits = drawn(1)
    logits = np.concatenate([logits, np.full((1, *SIZE, 1), -9, np.float32)], -1)
    measured = measures(logits, {"mask": masks})
    sums = {n: x[0] for n, x in measured.items()}
    values = segmentation.ious(sums)
    assert np.isnan(values[-1])
    assert TASK.figures["mean_iou"].of(sums) == pytest.approx(values[:-1].mean())


def test_the_loss_is_the_mean_over_known_pixels_and_dice_is_beside_it():
    masks, _, logits = drawn(2)
    shares = np.exp(logits - logits.max(-1, keepdims=True)).astype(np.float64)
    shares /= shares.sum(-1, keepdims=True)
    wanted, overlaps = [], []
    for mask, share in zip(masks, shares, strict=True):
        known = mask != IGNORED
        wanted.append(-np.log(share[known, mask[known]]).mean())
        truth = np.eye(CLASSES)[mask[known]]
        both, either = (share[known] * truth).sum(0), (share[known] ** 2).sum(0) + truth.sum(0)
        overlaps.append((2 * both / either).mean())
    found = loss(logits, {"mask": masks}, 0.0, 0.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    found = loss(logits, {"mask": masks}, 0.0, 0.5)
    np.testing.assert_allclose(found, np.array(wanted) + 0.5 * (1 - np.array(overlaps)), rtol=1e-5)


def test_an_image_without_a_known_pixel_teaches_nothing():
    mask = jnp.full((1, 4, 4), IGNORED, jnp.uint8)
    gradient = jax.jit(jax.grad(lambda x: segmentation.loss(x, {"mask": mask}, 0.1, 1.0).sum()))
    assert not np.asarray(gradient(jnp.ones((1, 4, 4, 3)))).any()


def test_what_augmentation_brings_from_beyond_the_image_is_ignored():
    images = jnp.full((1, 8, 8, 1), 200.0)
    masks = {"mask": jnp.ones((1, 8, 8), jnp.uint8)}
    augment = pipeline("crop(4)|flip")
    pixels, targets = augment(jax.random.key(3), images, masks, moves=TASK.moves)
    mask = np.asarray(targets.main["mask"])
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {1, IGNORED}
    np.testing.assert_array_equal(mask == IGNORED, np.asarray(pixels)[..., 0] < 100)


def test_a_network_without_places_is_refused():
    with pytest.raises(InputError, match=r"logits for each of \(8, 8\) pixels"):
        segmentation.loss(jnp.ones((1, 3)), {"mask": jnp.ones((1, 8, 8), jnp.uint8)})


def test_findings_are_shares_of_the_pictures_area():
    """The network sees the middle half of a picture twice as large: the rest is of no class."""
    classes = np.zeros((4, 4), np.uint8)
    classes[:, 2:] = 1
    prediction = {"class": classes, "probability": np.full((4, 4), 0.75, np.float32)}
    facts = Facts((8, 16, 3), ("ground", "cat"))
    placed = TASK.place(prediction, (0.25, 0.0, 0.75, 1.0))
    found = TASK.findings(placed, facts)
    assert found == [
        {"class": "ground", "area": 0.25, "probability": 0.75},
        {"class": "cat", "area": 0.25, "probability": 0.75},
    ]
    picture = TASK.draw(Image.new("RGB", (16, 8)), placed, facts)
    painted = np.asarray(picture)[:8, :16].any(-1)
    assert painted[:, 8:12].all() and not painted[:, :8].any() and not painted[:, 12:].any()
    objects = TASK.objects(placed, facts)
    assert objects.shape == (8, 16)
    assert objects[0, [0, 4, 8, 12]].tolist() == [0, 0.25, 0.75, 0]


def test_dice_is_refused_where_it_means_nothing(tmp_path):
    with pytest.raises(InputError, match="dice has no meaning for the task classification"):
        run.run(tiny.config(dice=0.5), tmp_path)


def test_masks_are_resized_by_the_nearest_pixel():
    whole = data.load("scenes", task="segmentation", size=48, examples=10)
    small = data.load("scenes", task="segmentation", size=48, examples=10, image_size=24)
    assert small.class_names == ("ground", *"0123456789") and small.shape == (24, 24, 1)
    for image, mask in zip(whole.train.images, whole.train.targets["mask"], strict=True):
        assert image[mask > 0].mean() > image[mask == 0].mean() + 40
    assert set(np.unique(small.train.targets["mask"])) <= set(range(11))
    found = small.train.targets["mask"]
    np.testing.assert_array_equal(found, whole.train.targets["mask"][:, 1::2, 1::2])


@pytest.mark.slow
def test_a_run_that_is_stopped_and_resumed_is_the_run_itself(tmp_path):
    whole = run.run(run_of_seconds(), tmp_path / "whole")
    assert 0 < whole["test_mean_iou"] < 1 and 0 < whole["test_pixel_accuracy"] < 1
    resumed = tmp_path / "resumed"
    with pytest.MonkeyPatch.context() as patch:
        during(4, patch, send(signal.SIGTERM))
        with pytest.raises(Stopped):
            run.run(run_of_seconds(), resumed)
    found = run.run(run_of_seconds(), resumed)
    assert {**found, "seconds": 0, "programs": 0} == {**whole, "seconds": 0, "programs": 0}
    assert tiny.metrics(resumed) == tiny.metrics(tmp_path / "whole")
    network = trained.load(resumed)
    split = trained.load_data(network.config).test
    found = predict.predictions(network, list(split.images))["class"]
    truth = split.targets["mask"]
    assert whole["test_pixel_accuracy"] == pytest.approx((found == truth).mean(), abs=1e-6)
    half = run_of_seconds(model__dtype="bfloat16")
    assert run.run(half, tmp_path / "half")["test_loss"] == pytest.approx(
        whole["test_loss"], rel=0.1
    )
