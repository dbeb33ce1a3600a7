"""Predictions of files, directories and patterns, whatever the files are called."""

import csv
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from cnnjax.errors import InputError
from cnnjax.evaluation import predict
from cnnjax.evaluation import trained as networks
from cnnjax.train import run
from tests import tiny
from tests.test_entry_points import command
from tests.test_folder_data import folder_config

ODD = ("img[front].png", ":smile:.png", "[red]x[bold].png", "long_" * 30 + ".png")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "tiny"
    run.run(tiny.config(epochs=1.0), path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for name in (*ODD, "10.png", "9.png", "deep/1.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (14, 30), np.uint8)).save(folder / name)
    (folder / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").touch()
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes((folder / "9.png").read_bytes())
    return folder


def test_one_unreadable_file_does_not_lose_the_answers_of_others(workdir, pictures):
    done = command("predict", f"--workdir={workdir}", "--json", "--top=1", pictures)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    answers = {os.path.relpath(line["image"], pictures): line for line in lines}
    assert len(answers) == 9
    failed = [name for name, line in answers.items() if "error" in line]
    assert failed == ["torn.png"] and "torn.png is not an image" in answers["torn.png"]["error"]
    assert "torn.png is not an image" in done.stderr and "notes.txt" in done.stderr
    names = list(answers)
    assert names.index("9.png") < names.index("10.png")
    assert answers["9.png"]["classes"] == answers[os.fsdecode(b"caf\xe9.png")]["classes"]


def test_names_are_text_in_a_table_and_whole_in_a_pipe(workdir, pictures):
    done = command("predict", f"--workdir={workdir}", pictures, "--top=1")
    assert done.returncode == 1
    for name in (*ODD, r"caf\xe9.png", "cannot be read"):
        assert name in done.stdout


def test_a_pattern_and_commas(workdir, pictures):
    done = command("predict", f"--workdir={workdir}", "--csv", pictures / "**" / "1*.png")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [os.path.relpath(row["image"], pictures) for row in rows] == [
        "10.png", "10.png", "10.png", "deep/1.png", "deep/1.png", "deep/1.png"
    ]  # fmt: skip
    assert 0 <= float(rows[0]["probability"]) <= 1 and rows[0]["error"] == ""
    nothing = command("predict", f"--workdir={workdir}", pictures / "*.jpg")
    assert nothing.returncode == 2 and "no file matches" in nothing.stderr


def test_batches_give_what_single_images_give(workdir, pictures):
    network = networks.load(workdir)
    files = [p for p in sorted(pictures.iterdir()) if p.suffix == ".png"]
    single = [next(predict.of_files(network, [file])) for file in files]
    together = list(predict.of_files(network, files, batch=3))
    assert [file for file, _ in together] == files
    for (_, one), (_, other) in zip(single, together, strict=True):
        if isinstance(one, InputError):
            assert isinstance(other, InputError) and str(one) == str(other)
        else:
            np.testing.assert_allclose(one, other, rtol=1e-5)


def test_what_was_learnt_before_records_had_preprocessing_is_seen_as_then(workdir):
    """Squashed where data.image_size was given, else covered and cropped; the same statistics."""
    stored = json.loads((workdir / "dataset.json").read_text())
    now = networks.load(workdir).preprocessing
    record = stored.pop("preprocessing")
    (workdir / "dataset.json").write_text(json.dumps(stored))
    try:
        assert networks.load(workdir).preprocessing == now
    finally:
        (workdir / "dataset.json").write_text(json.dumps({**stored, "preprocessing": record}))
    config = json.loads((workdir / "config.json").read_text())
    for size, rule in ((0, "crop"), (28, "squash")):
        config["data"]["image_size"] = size
        assert networks.preprocessing(config, (28, 28, 1), (0.1,), (0.2,)).resize == rule


def test_predict_sees_what_evaluate_saw(tmp_path):
    """12 x 36 images whose class shows at their ends only, which a crop would cut off."""
    generator = np.random.default_rng(0)
    for label in (0, 1):
        (tmp_path / "set" / str(label)).mkdir(parents=True)
        for i in range(30):
            pixels = generator.integers(100, 140, (12, 36), np.uint8)
            pixels[:, :6], pixels[:, -6:] = 255 * label, 255 * (1 - label)
            Image.fromarray(pixels).save(tmp_path / "set" / str(label) / f"{i}.png")
    config = folder_config(tmp_path / "set", data__image_size=28, epochs=6.0)
    result = run.run(config, tmp_path / "run")
    assert result["test_accuracy"] == 1.0
    network = networks.load(tmp_path / "run")
    assert network.preprocessing.resize == "squash" and network.preprocessing.size == (28, 28)
    files = sorted((tmp_path / "set").rglob("*.png"))
    found = [int(np.argmax(answer)) for _, answer in predict.of_files(network, files, batch=7)]
    assert found == [int(file.parent.name) for file in files]
    # As written down: the record, not the fields it was made from.
    dataset = networks.load_data(network.config)
    seen = predict.read_image(files[0], network.preprocessing)
    assert any((image == seen).all() for s in ("train", "validation", "test")
               for image in getattr(dataset, s).images)  # fmt: skip


def test_no_picture_takes_the_place_of_another():
    taken = set()
    names = [predict.unique(name, taken) for name in ("x", "x", "x_2", "x", "y")]
    assert names == ["x", "x_2", "x_2_2", "x_3", "y"]
