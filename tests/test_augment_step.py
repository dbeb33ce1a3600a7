"""Augmentation in the training step: by example, by value, with the right labels, and resumable."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax import augment, caches, data, models, parallel
from cnnjax.errors import InputError
from cnnjax.evaluation import trained
from cnnjax.evaluation.evaluate import evaluator
from cnnjax.tasks.classification import TASK
from cnnjax.train import optim, run
from cnnjax.train.experiment import check_parts
from cnnjax.train.step import AUGMENT, AUGMENT_KEY, create_state, train_step
from tests import tiny

SHAPE, CLASSES, BATCH = (10, 10, 1), 4, 16
FACTS = data.Facts(SHAPE, tuple("abcd"))
TEXT = "crop(2)|rotate(20)|noise(4)|mixup(1)"
MODULE = models.build("lenet5", CLASSES, features=(2, 4), units=(8,), kernel=3)


def optimizer(hyper, step):
    return optim.optimizer("sgd", hyper["learning_rate"])


def hyper(pipeline, **changes):
    strengths = {AUGMENT + name: value for name, value in pipeline.values.items()}
    values = {"learning_rate": 0.1, "label_smoothing": 0.1} | strengths | changes
    return {name: jnp.float32(value) for name, value in values.items()}


def batch():
    draw = np.random.default_rng(0)
    return {
        "image": draw.integers(0, 256, (BATCH, *SHAPE), dtype=np.uint8),
        "label": draw.integers(0, CLASSES, BATCH).astype(np.int32),
    }


def compiled(mapper, pipeline, accumulate=1):
    step = partial(
        train_step, task=TASK, module=MODULE, augment=pipeline, preprocess=data.normalize,
        optimizer=optimizer, axis_name=parallel.AXIS, accumulate=accumulate,
    )  # fmt: skip
    return mapper.map(step, split=(False, True, False))


@pytest.fixture(scope="module")
def state():
    make = partial(
        create_state, MODULE, optimizer({"learning_rate": 0.1}, 0), task=TASK, facts=FACTS
    )
    return jax.jit(make)(jax.random.key(5))


def take(state, mapper, pipeline, accumulate=1, **changes):
    values = mapper.replicate(hyper(pipeline, **changes))
    advance = compiled(mapper, pipeline, accumulate)
    return advance(mapper.replicate(state), mapper.split(batch()), values)


def test_the_loss_is_that_of_the_augmented_images_against_both_labels(state):
    pipeline = augment.pipeline(TEXT, SHAPE)
    _, metrics = take(state, parallel.mapper("jit", 1), pipeline)
    key = jax.random.fold_in(jax.random.fold_in(state.key, 0), AUGMENT_KEY)
    given = batch()
    images, targets = pipeline(key, given["image"], given["label"])
    assert not np.array_equal(targets.own, targets.others)
    share = np.asarray(targets.share)[:, None]
    soft = share * np.eye(CLASSES)[targets.own] + (1 - share) * np.eye(CLASSES)[targets.others]
    soft = 0.9 * soft + 0.1 / CLASSES
    logits = MODULE.apply(state.variables, data.normalize(images))
    losses = optax.softmax_cross_entropy(logits, soft)
    assert float(metrics["loss"]) == pytest.approx(float(losses.sum()), rel=1e-5)
    right = logits.argmax(1) == np.where(share[:, 0] < 0.5, targets.others, targets.own)
    assert float(metrics["correct"]) == right.sum()


@pytest.mark.parametrize(("kind", "devices"), [("pmap", 4), ("jit", 8)])
def test_any_number_of_devices_augments_alike(kind, devices, state):
    pipeline = augment.pipeline(TEXT, SHAPE)
    alone, expected = take(state, parallel.mapper("jit", 1), pipeline)
    found, metrics = take(state, parallel.mapper(kind, devices), pipeline)
    assert float(metrics["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-5)
    for a, b in zip(jax.tree.leaves(found.params), jax.tree.leaves(alone.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_pieces_of_a_batch_are_augmented_like_the_whole(state):
    pipeline, mapper = augment.pipeline(TEXT, SHAPE), parallel.mapper("jit", 1)
    (whole, expected), (pieces, found) = (take(state, mapper, pipeline, n) for n in (1, 4))
    assert float(found["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-5)
    for a, b in zip(jax.tree.leaves(pieces.params), jax.tree.leaves(whole.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_another_strength_compiles_nothing_and_has_its_effect(state):
    mapper, pipeline = parallel.mapper("jit", 1), augment.pipeline("rotate(20)", SHAPE)
    advance = compiled(mapper, pipeline)

    def loss(**changes):
        values = mapper.replicate(hyper(pipeline, **changes))
        return float(advance(mapper.replicate(state), mapper.split(batch()), values)[1]["loss"])

    plain = float(take(state, mapper, augment.pipeline(""))[1]["loss"])
    turned, programs = loss(), caches.counter()
    none = loss(**{"augment.rotate.degrees": 0.0})
    assert none == pytest.approx(plain, rel=1e-6) and abs(turned - plain) > 1e-3
    assert programs() == {"found": 0, "compiled": 0}


def test_a_run_augments_its_training_images_only_and_resumes(tmp_path, monkeypatch):
    changes = {"augment": "shift(0.2)|cutmix(1)", "report__every_steps": 1}
    expected = run.run(tiny.config(**changes), tmp_path / "whole")
    plain = run.run(tiny.config(report__every_steps=1), tmp_path / "plain")
    assert expected["params_sha256"] != plain["params_sha256"]
    # The first validation of either comes after one epoch; at step 0 they are the same network.
    steps = iter(range(100))
    monkeypatch.setattr(run.stop, "requests", lambda: tiny.asked(lambda: next(steps) == 10))
    with pytest.raises(run.stop.Stopped):
        run.run(tiny.config(**changes), tmp_path / "stopped")
    found = run.run(tiny.config(**changes), tmp_path / "stopped")
    assert {**found, "seconds": 0, "programs": 0} == {**expected, "seconds": 0, "programs": 0}
    assert tiny.metrics(tmp_path / "stopped") == tiny.metrics(tmp_path / "whole")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"augment": "rotat(3)"}, "did you mean rotate?"),
        ({"augment": "rotate(300)"}, "degrees of rotate is a number between 0 and 180; given 300"),
        ({"augment": "hue(0.1)"}, "hue needs red, green and blue; the images are 10x10x1"),
        ({"augment": "mixup(1)", "batch_size": 12, "parallel__devices": 4}, "3 per device is odd"),
    ],
)
def test_what_cannot_be_augmented_is_refused_at_the_start(changes, words, tmp_path):
    with pytest.raises(InputError, match=words):
        run.run(tiny.config(**changes), tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_an_even_part_may_be_mixed():
    config = tiny.config(augment="mixup(1)", batch_size=8, parallel__devices=4)
    assert check_parts(config.to_dict()).devices == 4


@pytest.mark.slow
def test_augmentation_fights_overfitting(tmp_path):
    """Requirement U08 (article S4): on 1,295 images the gap between train and test shrinks."""
    gaps = {}
    for text in ("", "shift(0.1)|rotate(10)|scale(0.1)"):
        config = configuration_of_digits(text)
        workdir = tmp_path / ((text and "augmented") or "plain")
        run.run(config, workdir)
        network, dataset = trained.load(workdir), trained.load_data(config)
        mapper = parallel.mapper("jit", 1)
        evaluate = evaluator(network.task, network.module, network.preprocess, mapper, 500)
        losses = [evaluate(network.variables, s)["loss"] for s in (dataset.train, dataset.test)]
        gaps[text] = losses[1] - losses[0]
    plain, augmented = gaps.values()
    assert augmented < 0.6 * plain


def configuration_of_digits(text):
    from configs import digits

    config = digits.get_config()
    config.augment, config.label_smoothing, config.parallel.devices = text, 0.0, 1
    return config
