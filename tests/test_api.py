"""The commands as functions of Python."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from cnnjax import api, data, tree
from cnnjax.errors import InputError
from cnnjax.train import run
from tests.tiny import config as tiny


def arrays(count, seed):
    """Squares that are bright on the left or on the right."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    images = random.integers(0, 60, (count, 12, 12, 1))
    images[labels == 0, :, :6] += 150
    images[labels == 1, :, 6:] += 150
    return images.astype(np.uint8), labels


@pytest.fixture(scope="module")
def mine():
    api.data_set("mine", arrays(200, 0), arrays(50, 1), ("left", "right"))
    yield "mine"
    del data.DATASETS["mine"]


@pytest.fixture(scope="module")
def network(mine):
    config = api.config(
        "digits", epochs=4, batch_size=24, data={"name": mine, "image_size": 0},
        schedule={"warmup_epochs": 0.0}, report={"every_steps": 5, "tensorboard": False},
    )  # fmt: skip
    heard = []
    network = api.train(config, callback=heard.append)
    assert [progress.step for progress in heard] == list(range(1, 31))
    assert heard[-1].epoch == 4.0 and heard[-1].validation["accuracy"] > 0.9
    assert heard[4].training and not heard[5].training
    return network


def test_what_was_trained_on_arrays_can_be_used(network, tmp_path):
    images, labels = arrays(50, 1)
    assert network.class_names == ("left", "right")
    found = api.evaluate(network, images, labels)
    probabilities = api.predict_all(network, images)
    assert probabilities.shape == (50, 2) and found["examples"] == 50
    assert found["accuracy"] == np.mean(probabilities.argmax(-1) == labels) > 0.9
    Image.fromarray(images[0, :, :, 0]).save(tmp_path / "one.png")
    (tmp_path / "none.png").write_bytes(b"no image")
    first, second = api.predict(network, [tmp_path / "one.png", tmp_path / "none.png"])
    assert first[0]["class"] == network.class_names[probabilities[0].argmax()]
    assert isinstance(second, InputError)
    heat = api.explain(network, images[0], "occlusion", label=int(labels[0]))
    bright = images[0, :, :, 0] > 100
    assert heat.shape == (12, 12) and heat[bright].mean() > heat[~bright].mean()
    assert api.explain(network, tmp_path / "one.png").shape == (12, 12)


def test_training_leaves_nothing_behind_but_a_workdir_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    os.makedirs(tmp_path / "temporary")
    one = api.train(tiny())
    assert not os.listdir(tmp_path / "temporary")
    two = api.train(tiny(), tmp_path / "kept")
    again = api.load(tmp_path / "kept")
    assert tree.digest(one.variables) == tree.digest(two.variables) == tree.digest(again.variables)
    result = json.loads((tmp_path / "kept" / "result.json").read_text())
    assert result["params_sha256"] == tree.digest(one.variables["params"])


def test_a_run_that_is_left_early_goes_on_to_the_same_bits(tmp_path):
    whole = run.run(tiny(), tmp_path / "whole")
    for progress in api.steps(tiny(), tmp_path / "left"):
        if progress.step == 7:
            break
    assert not (tmp_path / "left" / "result.json").exists()
    last = [progress.step for progress in api.steps(tiny(), tmp_path / "left")][-1]
    assert last == whole["step"]
    result = json.loads((tmp_path / "left" / "result.json").read_text())
    assert result["params_sha256"] == whole["params_sha256"]


def test_what_a_callback_raises_ends_the_run(tmp_path):
    def enough(progress):
        if progress.step == 3:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        api.train(tiny(), tmp_path / "run", enough)
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_config_is_that_of_the_file_with_changes():
    config = api.config("mnist:lenet5,quick", epochs=3, optimizer={"learning_rate": 0.5})
    assert (config.epochs, config.optimizer.learning_rate) == (3.0, 0.5)
    assert (config.data.name, config.schedule.name) == ("mnist", "one_cycle")
    assert api.config("digits", model={"kernel": 3}).model.kernel == 3


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: api.config("digitz"), "config file digitz does not exist"),
        (lambda: api.config("digits", epoch=3), "did you mean epochs"),
        (lambda: api.config("digits", optimizer="sgd"), "config.optimizer.name=sgd"),
        (lambda: api.data_set("digits", arrays(9, 0), arrays(9, 0)), "taken"),
        (lambda: api.data_set("x", (np.zeros((9, 8, 8)), np.zeros(9)), arrays(9, 0)), "uint8"),
        (lambda: api.data_set("x", (arrays(9, 0)[0], np.zeros(9)), arrays(9, 0)), "integers"),
        (lambda: api.data_set("x", (arrays(9, 0)[0], np.zeros(8, int)), arrays(9, 0)), "9 images"),
        (lambda: api.load("/nowhere"), "/nowhere"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(call, says):
    with pytest.raises(InputError, match=says):
        call()
