"""Paths mean the same from every folder, and reading makes none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnjax import config as configuration
from cnnjax import paths
from cnnjax.errors import InputError
from cnnjax.evaluation import trained
from cnnjax.train import run
from experiments import launch
from tests import tiny

ROOT = Path(__file__).parent.parent


def located(**data):
    return paths.located({"seed": 0, "data": data})["data"]


def test_places_of_data_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "link").symlink_to("/")
    found = located(data_dir="sets", manual_dir="~/downloads", path="../link/x", name="sets")
    assert found["data_dir"] == str(tmp_path / "sets")
    assert found["manual_dir"] == "/home/me/downloads"
    assert found["path"] == str(tmp_path.parent / "link/x") and found["name"] == "sets"
    assert located(path="link/sets")["path"] == str(tmp_path / "link/sets")
    assert located(path="https://example.org/x", data_dir="") == {
        "path": "https://example.org/x",
        "data_dir": "",
    }
    with pytest.raises(InputError, match="~nobody-here/x is in a home"):
        located(data_dir="~nobody-here/x")


def test_a_workdir_may_lie_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "run").mkdir()
    assert launch.existing_workdir("~/run") == tmp_path / "run"
    with pytest.raises(InputError, match="workdir ~/other does not exist"):
        launch.existing_workdir("~/other")


@pytest.fixture
def photographs(tmp_path):
    """A folder with 12 images in two classes, and its parent."""
    for i in range(12):
        file = tmp_path / "home" / "photographs" / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 20 * i, np.uint8)).save(file)
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "home"


def test_a_run_finds_relative_data_from_another_folder(photographs, tmp_path, monkeypatch):
    monkeypatch.chdir(photographs)
    config = tiny.config(data__name="folder", data__path="photographs", epochs=1.0)
    del config["data"]["examples"], config["data"]["size"]
    result = run.run(config, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "elsewhere")
    network = trained.load(tmp_path / "run")
    assert network.config["data"]["path"] == str(photographs / "photographs")
    assert len(trained.stored_data(network.config).test) == result["test_examples"]
    # Runs from before hold the path as it was typed; it is read from where they are gone on with.
    monkeypatch.chdir(photographs)
    stored = json.loads((tmp_path / "run/config.json").read_text())
    stored["data"]["path"] = "photographs"
    (tmp_path / "run/config.json").write_text(json.dumps(stored))
    assert run.run(config, tmp_path / "run") == result


@pytest.mark.parametrize("missing", ["typo", "empty"])
def test_reading_a_runs_data_makes_no_folder(missing, tmp_path):
    (tmp_path / "empty").mkdir()
    config = configuration.check(configuration.default())
    config["data"] |= {"name": "mnist", "data_dir": str(tmp_path / missing)}
    for place in (None, str(tmp_path / missing)):
        with pytest.raises(InputError, match=rf"{missing} holds no prepared mnist.*--data_dir=DIR"):
            trained.stored_data(config, place)
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]


@pytest.mark.slow
def test_commands_know_home_and_evaluate_elsewhere(photographs, tmp_path):
    def command(name, *arguments, where):
        return subprocess.run(
            (sys.executable, "-m", f"experiments.{name}", "--workdir=~/run", *arguments),
            cwd=where,
            env=os.environ | {"HOME": str(photographs), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )

    done = command(
        "train", f"--config={ROOT}/configs/folder.py:lenet5", "--config.data.path=photographs",
        "--config.data.image_size=16", "--config.batch_size=4", "--config.epochs=1",
        "--config.augment=", "--config.data.validation=0", where=photographs,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (photographs / "run" / "result.json").exists()
    done = command("evaluate", "--json", where=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "elsewhere").iterdir())
