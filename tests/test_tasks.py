"""A task is one file and one word: everything else carries it without knowing it."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnjax import config as configuration
from cnnjax import data, history, tasks
from cnnjax.errors import InputError
from cnnjax.tasks import TASKS, Figure
from cnnjax.train import run
from tests import age, tiny

ROOT = Path(__file__).parent.parent
FACES = {"data__name": "faces", "evaluate__select": "best", "epochs": 6.0}


def entry(name, *arguments):
    """Runs an entry point where the word "age" is known."""
    code = f"import runpy, tests.age; runpy.run_module('experiments.{name}', run_name='__main__')"
    done = subprocess.run(
        (sys.executable, "-c", code, *map(str, arguments)),
        cwd=ROOT, capture_output=True, text=True, env=os.environ | {"JAX_NUM_CPU_DEVICES": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def seen(result):
    """Returns what a result says of the network, and not of how it came about."""
    return {k: v for k, v in result.items() if k not in ("seconds", "programs")}


def stopped(config, workdir, monkeypatch):
    """Runs until a signal would have come before the eighth step."""
    looks = iter(range(100))
    with monkeypatch.context() as patched, pytest.raises(run.stop.Stopped):
        patched.setattr(run.stop, "requests", lambda: tiny.asked(lambda: next(looks) == 7))
        run.run(config, workdir)


def test_a_new_task_is_one_file_and_trains_resumes_evaluates_and_predicts(tmp_path, monkeypatch):
    assert len(Path(age.__file__).read_text().splitlines()) < 60
    expected = run.run(tiny.config(**FACES), tmp_path / "whole")
    stopped(tiny.config(**FACES), tmp_path / "run", monkeypatch)
    work = f"--workdir={tmp_path / 'run'}"
    printed = entry("train", *tiny.flags(**tiny.VALUES | FACES), work)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert "Resuming" in printed and seen(result) == seen(expected)
    assert "accuracy" not in printed and result["test_mean_error"] < 20
    assert f"Test mean error: {result['test_mean_error']:.4f}" in printed

    found = json.loads(entry("evaluate", work, "--json"))
    assert found["mean_error"] == result["test_mean_error"]
    best = min(
        (m["mean_error"], -m["step"])
        for m in tiny.metrics(tmp_path / "run")
        if m["split"] == "validation"
    )
    assert found["step"] == result["tested_step"] == -best[1]

    files = []
    for years in (10, 90):
        pixels = np.full((10, 10), 120, np.uint8)
        pixels[:5] = 70 + years
        files.append(tmp_path / f"{years}.png")
        Image.fromarray(pixels).save(files[-1])
    pictures = tmp_path / "pictures"
    answers = entry("predict", work, "--json", f"--output={pictures}", *files).splitlines()
    (young,), (old,) = (json.loads(answer)["ages"] for answer in answers)
    assert young["age"] + 20 < old["age"]
    assert sorted(p.name for p in pictures.iterdir()) == ["10.png", "90.png"]
    assert "years" in entry("predict", work, *files)


def test_what_has_no_meaning_for_a_task_is_refused_before_data_are_read(tmp_path):
    for changes, message in (
        ({"augment": "flip|mixup(1)"}, "mixup makes one image of two, .* the task age"),
        ({"label_smoothing": 0.1}, "label_smoothing has no meaning for the task age"),
        ({"task": "agee"}, "unknown task 'agee'; did you mean age"),
    ):
        with pytest.raises(InputError, match=message):
            run.run(tiny.config(**FACES | changes), tmp_path / "run")
    with pytest.raises(InputError, match="faces has no 'label', which the task classification"):
        run.run(tiny.config(**FACES, task="classification"), tmp_path / "run")


def test_the_task_is_that_of_the_data_set_and_of_old_configs_classification():
    config = configuration.default().to_dict()
    assert tasks.resolved(config)["task"] == "classification"
    config["data"]["name"] = "faces"
    assert tasks.resolved(config)["task"] == "age"
    del config["task"]
    assert history.completed(config)["task"] == "classification"


def test_targets_of_another_form_than_the_task_needs_are_refused():
    digits = data.load("digits")
    tasks.check_targets("classification", TASKS["classification"], digits)
    wide = data.Split(digits.test.images, {"label": digits.test.targets["label"].astype(np.int64)})
    wrong = data.Dataset("d", digits.train, digits.validation, wide, digits.class_names, (), ())
    with pytest.raises(InputError, match=r"is int64\(\) per example; .* needs int32\(\)"):
        tasks.check_targets("classification", TASKS["classification"], wrong)


def test_arrays_of_a_split_have_one_length_and_one_image():
    images = np.zeros((3, 2, 2, 1), np.uint8)
    with pytest.raises(InputError, match="2 of 'label' do not fit 3 images"):
        data.Split(images, {"label": np.zeros(2)})
    split = data.Split(images, {"a": np.arange(3), "b": np.arange(6).reshape(3, 2)})
    part = split.take(np.array([2, 0]))
    assert part.arrays["a"].tolist() == [2, 0] and part.arrays["b"].tolist() == [[4, 5], [0, 1]]


@pytest.mark.parametrize(("higher", "worst_first"), [(True, [2, 1, 0]), (False, [2, 0, 1])])
def test_a_figure_says_which_way_is_better_and_nan_is_worst(higher, worst_first):
    figures = {"mean_error": Figure(lambda sums: 0, "years", higher)}
    task = dataclasses.replace(TASKS["age"], figures=figures)
    scores = [tasks.score(task, {"mean_error": value}) for value in (1.0, 0.5, math.nan)]
    assert sorted(range(3), key=scores.__getitem__) == worst_first


@pytest.mark.parametrize(
    ("task", "spoiled"),
    [
        ("classification", "label"),
        ("localization", "box"),
        pytest.param("detection", "boxes", marks=pytest.mark.slow),
    ],
)
def test_what_is_tortured_resumes_past_a_target_that_is_none(task, spoiled, tmp_path, monkeypatch):
    from configs import torture

    config = torture.get_config(task)
    config.epochs, config.data.examples, config.report.tensorboard = 2.0, 60, False
    config.parallel.devices, config.data.validation = 1, 0.0
    expected = run.run(config, tmp_path / "whole")
    stopped(config, tmp_path / "run", monkeypatch)
    found = run.run(config, tmp_path / "run")
    assert seen(found) == seen(expected)
    names = {"image", *TASKS[task].targets(data.Facts((24, 24, 1), ()))}
    batches = [np.load(file) for file in (tmp_path / "run" / "nonfinite").iterdir()]
    assert batches and all(set(batch) == names for batch in batches)
    assert all((~np.isfinite(b[spoiled]) | (b[spoiled] == 255)).any() for b in batches)
