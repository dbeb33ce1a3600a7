"""The page of a run: what it says of tiny runs, and that nothing a run lacks stops it."""

import base64
import dataclasses
import io
import json
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnjax import config as configuration
from cnnjax import data
from cnnjax.errors import InputError
from cnnjax.evaluation import trained
from cnnjax.report import evidence, page, sections
from cnnjax.train import run
from tests import tiny
from tests.image_files import photographs

pytestmark = pytest.mark.usefixtures("quick_compilation")
ROOT = Path(__file__).parent.parent
# Every kind of error in 60 images: most are wrong after so few steps.
CLASSES = {"data__size": 16, "epochs": 2.0, "model__act": "relu"}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reported") / "run"
    run.run(tiny.config(**CLASSES), folder)
    return folder


@pytest.fixture(scope="module")
def gathered(workdir):
    return evidence.gather(workdir)


@pytest.fixture(scope="module")
def parts(gathered):
    return sections.of_run(gathered, "run1")


def headings(text):
    return re.findall(r"<h2[^>]*>(.*?)</h2>", text)


def pictures(text):
    return re.findall(r'<img src="data:image/\w+;base64,([^"]+)"', text)


def test_the_page_stands_alone_and_shows_what_the_run_found(gathered, parts, monkeypatch):
    monkeypatch.setattr(sections, "of_run", lambda run, name: parts)
    text = page.html([gathered])
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//|\w+\.(js|css|png))""", text)
    assert len(text.encode()) < page.LARGEST
    wanted = ["What was run", "Figures", "Curves", "Confusion", "Classes", "Calibration",
              "Mistakes", "Slices", "Suspected labels", "Near duplicates", "What it sees",
              "Network", "Where the time went", "Environment", "What to try next"]  # fmt: skip
    assert headings(text) == wanted
    result = gathered.result
    assert f"{100 * result['test_accuracy']:.2f} %" in text
    assert f"{result['params']:,}" in text
    for encoded in pictures(text):
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            image.load()


def test_what_is_counted_adds_up(gathered, parts):
    cells = [cell for row in parts["confusion"]["rows"] for cell in row["cells"]]
    assert sum(cell["count"] for cell in cells) == gathered.result["test_examples"] == 12
    right = sum(cell["count"] for cell in cells if cell["right"])
    assert right / 12 == pytest.approx(gathered.result["test_accuracy"])
    assert all(bool(cell["count"]) == bool(cell["pictures"]) for cell in cells)
    assert dict(parts["counts"])["of them wrong"] == str(12 - right)
    assert sum(row["examples"] for row in parts["classes"]) == 12
    wrong = parts["galleries"][0]["pictures"]
    losses = [float(p["loss"]) for p in wrong]
    assert losses == sorted(losses, reverse=True) and len(wrong) == 12 - right
    mean = gathered.judged.losses.mean()
    assert mean == pytest.approx(gathered.result["test_loss"], rel=1e-4)


@pytest.mark.slow
def test_the_config_of_the_page_runs_the_same_again(gathered, tmp_path):
    text = page.html([gathered])
    encoded = re.search(r'href="data:application/json;base64,([^"]+)"', text)[1]
    (tmp_path / "config.json").write_bytes(base64.b64decode(encoded))
    read = runpy.run_path(str(ROOT / "configs" / "stored.py"))["get_config"]
    config = read(str(tmp_path / "config.json"))
    assert configuration.check(config) == configuration.check(read(str(gathered.workdir)))
    again = run.run(config, tmp_path / "again")
    assert again["params_sha256"] == gathered.result["params_sha256"]
    (tmp_path / "config.json").write_text("[1]")
    for wrong, words in ((None, "wants a workdir"), (str(tmp_path / "config.json"), "no config"),
                         (str(tmp_path / "none"), "cannot be read")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            read(wrong)


def test_an_unfinished_run_is_judged_by_its_validation_split(workdir, tmp_path):
    shutil.copytree(workdir, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{"step": 99, "los')
    found = evidence.gather(tmp_path / "run")
    assert [one.name for one in found.held] == ["validation"]
    text = page.html([found])
    assert "Not complete" in text and "Go on with the run" in text
    assert "test accuracy" not in text and "validation accuracy" in text
    assert "Where the time went" not in text


def test_without_a_checkpoint_or_data_the_rest_is_told(workdir, tmp_path):
    shutil.copytree(workdir, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    text = page.html([evidence.gather(tmp_path / "run")])
    assert "There is no network to try" in text and "Curves" in headings(text)
    assert "Confusion" not in headings(text)
    config = json.loads((workdir / "config.json").read_text())
    config["data"] |= {"examples": 70}
    shutil.rmtree(tmp_path / "run")
    shutil.copytree(workdir, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    text = page.html([evidence.gather(tmp_path / "run")])
    assert "The data cannot be read" in text and "Network" in headings(text)
    with pytest.raises(InputError, match="not a run's workdir"):
        evidence.gather(tmp_path)


def test_two_runs_stand_side_by_side(gathered, workdir, tmp_path):
    shutil.copytree(workdir, tmp_path / "other")
    config = json.loads((workdir / "config.json").read_text()) | {"label_smoothing": 0.25}
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    text = page.html([gathered, evidence.gather(tmp_path / "other")])
    assert headings(text)[0] == "Side by side" and len(headings(text)) == 3
    row = re.search(r'scope="row">label_smoothing</th>(.*?)</tr>', text)[1]
    assert re.findall("<td>(.*?)</td>", row) == ["0.0", "0.25"]
    assert "has 0 right that run has wrong, and 0 the other way round; p = 1" in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'href="#([^"]+)"', text):
        assert target in ids


@pytest.mark.slow
def test_another_task_gets_what_has_a_meaning_there(tmp_path):
    scenes = {"data__name": "scenes", "data__size": 24, "epochs": 1.0}
    run.run(tiny.config(**scenes), tmp_path / "run")
    text = page.html([evidence.gather(tmp_path / "run")])
    assert "with what was found in it" in text and "test mean iou" in text
    assert {"Mistakes", "Slices", "What it sees"} <= set(headings(text))
    assert not {"Confusion", "Classes", "Calibration"} & set(headings(text))


def many_classes(gathered, classes=1000, examples=5000):
    """Returns a run of so many classes that was never trained: drawn scores of grey images."""
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, examples).astype(np.int32)
    logits = random.normal(size=(examples, classes)).astype(np.float32)
    logits[np.arange(examples), labels] += 3
    images = random.integers(0, 256, (examples, 96, 96, 3), np.uint8)
    split = data.Split(images, {"label": labels})
    losses = random.random(examples).astype(np.float32)
    judged = evidence.Judged("test", examples, np.arange(examples), split, losses, logits)
    stored = gathered.stored | {"class_names": [f"class <{i}>" for i in range(classes)]}
    return dataclasses.replace(gathered, network=None, dataset=None, held=(judged,), stored=stored)


def test_a_thousand_classes_stay_small_and_readable(gathered):
    text = page.html([many_classes(gathered)])
    assert len(text.encode()) < 5_000_000
    assert text.count("<tr") < 1200 and "class &lt;999&gt;" in text and "class <999>" not in text
    matrix = re.search(r'<table class="matrix">(.*?)</table>', text, re.S)[1]
    assert matrix.count("<tr") == 17 and "984 others are left out" in text


def test_pictures_are_left_out_where_the_page_would_be_too_large(gathered, parts, monkeypatch):
    monkeypatch.setattr(sections, "of_run", lambda run, name: parts)
    whole = page.html([gathered])
    monkeypatch.setattr(page, "LARGEST", len(whole.encode()) - 1)
    smaller = page.html([gathered])
    assert len(smaller) < len(whole) and headings(smaller) == headings(whole)


@pytest.mark.slow
def test_a_folders_files_are_named_and_sliced(tmp_path):
    photographs(tmp_path / "photos", 40)
    config = tiny.config(data__name="folder", epochs=1.0, model__kernel=3)
    for name in ("examples", "size"):
        del config.data[name]
    config.data.path, config.data.image_size = str(tmp_path / "photos"), 16
    run.run(config, tmp_path / "run")
    found = evidence.gather(tmp_path / "run")
    files = evidence.source_files(found.judged.split)
    assert files and all(file.is_file() for file in files)
    parts = sections.of_run(found, "run1")
    assert parts["galleries"][0]["pictures"][0]["file"].endswith((".png", ".jpg"))


def test_a_file_of_weights_stands_beside_a_run(gathered, workdir):
    dataset = trained.stored_data(gathered.config)
    network = dataclasses.replace(gathered.network, config={}, dataset={}, source="weights.h5")
    found = evidence.of_weights(network, dataset)
    text = page.html([found])
    assert "A file of weights" in text and "--weights=weights.h5 --data=synthetic" in text
    assert f"{100 * gathered.result['test_accuracy']:.2f} %" in text
    assert not {"Curves", "Environment", "Where the time went"} & set(headings(text))
    both = page.html([gathered, found])
    assert "has 0 right that" in both
