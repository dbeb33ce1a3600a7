"""Workdirs of earlier versions load for ever, and their runs go on.

`tests/golden/workdir_1` was written once, by tests/golden/checkpoint.py: jax 0.10.2, orbax 0.12.8.
"""

import json
import shutil

import numpy as np
import pytest

from cnnjax import config as configuration
from cnnjax import history, models
from cnnjax.errors import InputError
from cnnjax.evaluation.trained import build_module
from cnnjax.train import run
from cnnjax.workdir import checkpoint, files
from tests.golden import checkpoint as golden

EXPECTED = json.loads((golden.FOLDER / "expected.json").read_text())


@pytest.fixture
def workdir(tmp_path):
    shutil.copytree(golden.FOLDER, tmp_path / "old")
    return tmp_path / "old"


def test_the_network_of_an_old_workdir_answers_as_it_did(workdir, capsys):
    found = golden.expectations(workdir)
    assert found["step"] == EXPECTED["step"] == golden.STOP
    # Another processor may round otherwise; a leaf that was mixed up would be far off.
    np.testing.assert_allclose(found["probabilities"], EXPECTED["probabilities"], atol=1e-4)
    assert (
        checkpoint.scores(workdir, lambda metrics: metrics["accuracy"])
        and "damaged" not in capsys.readouterr().err
    )


def test_an_old_run_goes_on_to_where_it_would_have_ended(workdir, capsys):
    config = history.completed(files.read_json(workdir / files.CONFIG))
    found = run.run(config, workdir)
    assert f"Resuming {workdir} at step {golden.STOP} of 24" in capsys.readouterr().out
    expected = EXPECTED["result"]
    assert found["test_loss"] == pytest.approx(expected["test_loss"], abs=1e-3)
    assert found["tested_step"] == expected["tested_step"] and found["step"] == 24


def stored(name):
    """Returns a config as it was stored before there were dialects in it."""
    config = configuration.check(configuration.default()) | {"model": {"name": name}}
    return history.completed(config)


def test_an_old_config_keeps_the_function_of_its_network():
    for name in ("resnet50", "resnet101", "resnet152"):
        former = models.build(name, 10, "keras")
        assert build_module(stored(name), 10) == former != models.build(name, 10)
    for name in ("resnet18", "lenet5", "densenet121", "resnet20"):
        assert build_module(stored(name), 10) == models.build(name, 10)
    config = configuration.check(configuration.default())
    config["model"]["name"] = "resnet50"
    assert build_module(config, 10) == models.build("resnet50", 10, "torch")
    config["model"]["dialect"] = "keras"
    assert build_module(config, 10) == models.build("resnet50", 10, "keras")
    with pytest.raises(InputError, match="resnet50 has no dialect 'kears'"):
        build_module({**config, "model": {**config["model"], "dialect": "kears"}}, 10)


def test_an_old_run_of_another_default_says_how_it_goes_on(tmp_path):
    before = configuration.check(configuration.default())
    before["model"] = {"name": "resnet50", "dtype": "float32"}
    (tmp_path / files.CONFIG).write_text(json.dumps(before))
    now = configuration.default()
    now.model.name = "resnet50"
    with pytest.raises(InputError, match="model.dialect: 'keras', now ''"):
        run.run(now, tmp_path)


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "one_cycle"])
def test_an_old_run_keeps_its_schedule_or_says_what_has_moved(tmp_path, name):
    before = configuration.check(configuration.default())
    before["schedule"] = {"name": name, "final": 0.01}
    (tmp_path / files.CONFIG).write_text(json.dumps(before))
    moved = name in ("cosine", "one_cycle")
    assert history.completed(before)["schedule"]["final_at"] == ("after" if moved else "last")
    now = configuration.default()
    now.schedule.name, now.schedule.final = name, 0.01
    assert history.differences(history.completed(before), configuration.check(now)) == (
        ["schedule.final_at: 'after', now 'last'"] if moved else []
    )
