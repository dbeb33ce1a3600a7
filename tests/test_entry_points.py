"""The commands as a person meets them: what they print, and how they refuse."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnjax import caches

ROOT = Path(__file__).parent.parent
TINY = (
    "--config.data.name=synthetic",
    "--config.data.examples=80",
    "--config.data.size=12",
    "--config.data.image_size=0",
    "--config.epochs=2",
    "--config.batch_size=16",
    "--config.evaluate.every_epochs=1",
)


def command(name, *arguments, **environment):
    return subprocess.run(
        (sys.executable, "-m", f"experiments.{name}", *map(str, arguments)),
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    done = command("train", *TINY, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir, done


def test_training_ends_with_the_articles_lines(trained):
    workdir, done = trained
    result = json.loads((workdir / "result.json").read_text())
    assert f"Test loss: {result['test_loss']:.5f}" in done.stdout
    assert f"Test accuracy: {result['test_accuracy']:.4f}" in done.stdout
    assert done.stdout.count("epoch ") == 2
    assert re.search(r"Seconds: import \d+\.\d, data \d", done.stdout)
    assert 0.3 < result["seconds"]["import"] < 60
    assert done.stderr == ""


def test_a_complete_run_says_so_and_changes_nothing(trained):
    workdir, _ = trained
    before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.name != "lock"}
    again = command("train", *TINY, f"--workdir={workdir}")
    assert again.returncode == 0 and "is complete" in again.stdout
    assert before == {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.name != "lock"}


def test_evaluate_finds_what_training_found(trained):
    workdir, _ = trained
    done = command("evaluate", f"--workdir={workdir}", "--json", "--batch_size=7")
    found, result = json.loads(done.stdout), json.loads((workdir / "result.json").read_text())
    assert found["accuracy"] == result["test_accuracy"]
    assert found["loss"] == pytest.approx(result["test_loss"], rel=1e-5)
    assert found["examples"] == result["test_examples"]


def images_of_every_kind(folder):
    grey = np.linspace(0, 255, 40 * 31).reshape(40, 31)
    kinds = {
        "grey.png": Image.fromarray(grey.astype(np.uint8)),
        "colour.jpg": Image.fromarray(np.stack([grey.astype(np.uint8)] * 3, -1)),
        "alpha.png": Image.fromarray(np.stack([grey.astype(np.uint8)] * 4, -1), "RGBA"),
        "palette.gif": Image.fromarray(grey.astype(np.uint8)).convert("P"),
        "bits.png": Image.fromarray(grey > 100),
        "deep.png": Image.fromarray((grey * 257).astype(np.uint16)),
        "real.tiff": Image.fromarray((grey / 255).astype(np.float32)),
        "point.png": Image.new("L", (1, 1), 200),
    }
    for name, image in kinds.items():
        image.save(folder / name)
    return [folder / name for name in kinds]


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
def test_predict_takes_images_of_any_size_and_mode(trained, tmp_path):
    workdir, _ = trained
    files = images_of_every_kind(tmp_path)
    done = command("predict", f"--workdir={workdir}", "--json", "--top=2", *files)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a["image"] for a in answers] == list(map(str, files))
    for answer in answers:
        likelihoods = [c["probability"] for c in answer["classes"]]
        assert len(likelihoods) == 2 and 1 >= likelihoods[0] >= likelihoods[1] >= 0


def test_predict_prints_a_table(trained, tmp_path):
    workdir, _ = trained
    Image.new("L", (9, 9)).save(tmp_path / "black.png")
    done = command("predict", f"--workdir={workdir}", tmp_path / "black.png")
    assert "probability" in done.stdout and " %" in done.stdout


DIGITS = "--config=configs/digits.py"
WORK = "--workdir=WORK"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", DIGITS), "--workdir=DIR is missing"),
        (("train", "--config=configs/none.py", WORK), "configs/none.py does not exist"),
        (("train", DIGITS + ":model=lenet5,fast", WORK), "unknown word 'fast'"),
        (("train", DIGITS, WORK, "--config.batchsize=3"), "did you mean batch_size?"),
        (("train", DIGITS, WORK, "--epochs=3"), "did you mean --config.epochs?"),
        (("train", DIGITS, WORK, "--lr=3"), "did you mean --config.optimizer.learning_rate"),
        (("train", DIGITS, WORK, "--batch_size=3"), "did you mean --config.batch_size, --config."),
        (("illustrate", "--only=steps", "--out=/proc/x"), "--out=/proc/x cannot be written"),
        (("train", DIGITS, WORK, "--config.batch_size=x"), "batch_size"),
        (("train", DIGITS, WORK, "--config.batch_size=7,a"), "batch_size"),
        (("train", DIGITS, WORK, "--config.model.name=lenet"), "did you mean lenet5"),
        (("train", DIGITS, WORK, "--config.model.kernal=3"), "did you mean kernel, kernel_init?"),
        (("train", DIGITS, WORK, "--config.model.classes=3"), "the data set has its own"),
        (("train", DIGITS, WORK, "--config.model.units=(1,'a')"), "units[1] must be int, as in"),
        (("train", DIGITS, WORK, "--config.data.seed=3"), "data set digits has no field 'seed'"),
        (("train", DIGITS, WORK, "--config.data.name=digit"), "did you mean digits?"),
        (("train", DIGITS, WORK, "--config.optimizer.name=adan"), "did you mean adam"),
        (("train", DIGITS, WORK, "--config.optimizer=sgd"), "set config.optimizer.name=sgd"),
        (("train", DIGITS, WORK, "--config.optimizer.rho=0.9"), "optimizer adam has no field"),
        (("train", DIGITS, WORK, "--config.optimizer.weight_decay=1",
          "--config.optimizer.decay=conv/.*"), "no parameter is named like 'conv/.*'"),
        (("train", DIGITS, WORK, "--fake_devices=3"), "64 does not divide by 3 devices"),
        (("train", DIGITS, WORK, "--config.parallel.devices=3"), "3 devices were asked for"),
        (("train", DIGITS, WORK, "--config.data.image_size=8"), "the smallest are 12x12"),
        (("train", DIGITS, "--workdir=/proc/none"), "workdir /proc/none cannot be written"),
        (("train", DIGITS, WORK, "extra"), "unexpected argument 'extra'"),
        (("train", DIGITS, WORK, "--confg.seed=1"), "confg"),
        (("evaluate", "--workdir=/none"), "workdir /none does not exist"),
        (("evaluate", "--workdir=EMPTY"), "no workdir of a run"),
        (("evaluate", "--workdir=TRAINED", "--data_dir=/none"), "--data_dir=/none is no folder"),
        (("predict", "--workdir=TRAINED"), "name at least one image file"),
        (("predict", "--workdir=TRAINED", "none.png"), "none.png does not exist"),
        (("predict", "--workdir=TRAINED", "README.md"), "README.md is not an image"),
    ],
)  # fmt: skip
def test_unusable_arguments_end_in_a_plain_line(arguments, words, trained, tmp_path):
    places = {"WORK": tmp_path / "work", "EMPTY": tmp_path, "TRAINED": trained[0]}
    for word, place in places.items():
        arguments = [a.replace(f"--workdir={word}", f"--workdir={place}") for a in arguments]
    done = command(*arguments)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2 and "Traceback" not in done.stderr
    assert not (tmp_path / "work" / "config.json").exists()


def test_a_set_that_cannot_be_had_fails_fast_and_says_what_to_do(tmp_path):
    # A proxy that nobody answers: as good as no network.
    nowhere = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy")}
    done = command(
        "train",
        "--config=configs/mnist.py",
        f"--config.data.data_dir={tmp_path}",
        f"--workdir={tmp_path / 'work'}",
        **nowhere,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "manual_dir" in done.stderr


def test_a_second_start_compiles_nothing(trained, tmp_path, monkeypatch):
    for name in ("COMPILATION_CACHE_DIR", "PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.delenv(f"JAX_{name}")
    kept = []
    for _ in range(2):
        done = command("evaluate", f"--workdir={trained[0]}", CNNJAX_CACHE=str(tmp_path))
        assert done.returncode == 0 and not done.stderr, done.stderr
        kept.append({file.name for file in (tmp_path / "programs").rglob("*-cache")})
    assert kept[0] and kept[0] == kept[1]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    (tmp_path / "file").touch()
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path / "file"))
    caches.keep_programs()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path))
    caches.keep_programs()
    assert Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).parent == tmp_path / "programs"
