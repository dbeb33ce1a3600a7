"""What studies measure of finished runs, beside their accuracy."""

import jax
import numpy as np
import pytest
from scipy import ndimage

from cnnjax import config as configuration
from cnnjax.evaluation.trained import load
from cnnjax.sweep import measures
from cnnjax.train import course, run
from tests import tiny


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, quick_compilation):
    place = tmp_path_factory.mktemp("run")
    run.run(configuration.check(tiny.config(epochs=1.0)), place)
    return place


def test_a_shift_is_that_of_scipy():
    images = np.random.default_rng(0).integers(0, 255, (3, 6, 5, 2), np.uint8)
    for down, right in ((0, 0), (1, 0), (-2, 0), (0, 3), (2, -1)):
        expected = ndimage.shift(images, (0, down, right, 0), order=0)
        np.testing.assert_array_equal(measures.shift(images, down, right), expected)


def test_accuracy_of_shifted_images(workdir):
    network, test = load(workdir), measures.experiment_of(workdir).dataset.test

    def accuracy(images):
        logits = network.module.apply(network.variables, network.preprocess(images), train=False)
        return np.mean(np.argmax(logits, -1) == test.targets["label"])

    found = measures.shifted(0, 3)(workdir)
    assert found[0] == pytest.approx(accuracy(test.images))
    assert found[0] == pytest.approx(measures.test_accuracy(workdir))
    four = [np.roll(test.images, by, axis) for by in (3, -3) for axis in (1, 2)]
    for images, cut in zip(four, (np.s_[:, :3], np.s_[:, :, :3], np.s_[:, -3:], np.s_[:, :, -3:]),
                           strict=True):  # fmt: skip
        images[cut] = 0
    assert found[3] == pytest.approx(np.mean([accuracy(images) for images in four]))


def test_overfitting_is_the_gap_between_the_splits(workdir):
    network, train = load(workdir), measures.experiment_of(workdir).dataset.train
    logits = network.module.apply(network.variables, network.preprocess(train.images), train=False)
    known = np.mean(np.argmax(logits, -1) == train.targets["label"])
    gap = known - measures.test_accuracy(workdir)
    assert measures.overfitting(workdir) == pytest.approx(gap)


def test_norms_of_gradients_are_those_of_small_differences(workdir):
    """A step along the gradient of a layer raises the loss by its norm, squared."""
    norms = measures.gradient_norms(workdir)
    assert list(norms) == [1.0, 2.0, 3.0, 4.0]
    experiment = measures.experiment_of(workdir)
    batch = experiment.dataset.train.arrays
    loss = jax.jit(lambda params: measures.loss_of(experiment)(params, batch))
    params = course.initial(experiment).params
    gradients = jax.grad(loss)(params)
    for name, norm in zip(("c1", "c3", "f5", "head"), norms.values(), strict=True):
        size = 1e-2 / norm**2
        sides = [
            loss(params | {name: params[name] | {"kernel": params[name]["kernel"] + sign * size
                                                 * gradients[name]["kernel"]}})
            for sign in (1, -1)
        ]  # fmt: skip
        assert (sides[0] - sides[1]) / 2 == pytest.approx(1e-2, rel=0.05), name
    assert measures.first_over_last(workdir) == pytest.approx(norms[1.0] / norms[4.0])
