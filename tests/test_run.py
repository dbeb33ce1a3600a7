"""Runs from a config to a result: what they leave behind, and what they refuse."""

import functools
import json
import os
import re
import threading
from pathlib import Path

import jax
import numpy as np
import pytest

from cnnjax import compiler, data, images, parallel, tasks, tree
from cnnjax.errors import InputError
from cnnjax.evaluation import trained
from cnnjax.train import run, stop
from cnnjax.workdir import checkpoint, files
from experiments import launch
from tests import tiny


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workdir of a finished run with event files, and its result."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    return workdir, run.run(tiny.config(report__tensorboard=True), workdir)


def test_a_result_says_what_was_found_and_what_it_took(finished):
    workdir, result = finished
    assert json.loads((workdir / "result.json").read_text()) == result
    assert {"test_accuracy", "test_loss", "test_examples", "step", "params_sha256"} <= set(result)
    assert {"compile", "data", "train", "evaluate"} <= set(result["seconds"])
    assert all(s > 0 for name, s in result["seconds"].items() if name != "import")
    # 60 images less 12 held out, in batches of 8: 6 steps an epoch. A fifth more are the test.
    assert result["step"] == 24 and result["test_examples"] == 12
    assert re.fullmatch("[0-9a-f]{64}", result["params_sha256"])


def test_the_tested_network_is_the_one_on_disk(finished):
    workdir, result = finished
    network = trained.load(workdir)
    assert network.step == 24
    assert tree.digest(network.variables["params"]) == result["params_sha256"]
    assert sum(x.size for x in jax.tree.leaves(network.variables)) == result["params"]
    dataset = trained.load_data(network.config)
    logits = network.module.apply(network.variables, network.preprocess(dataset.test.images))
    right = (np.asarray(logits).argmax(axis=1) == dataset.test.targets["label"]).sum()
    assert result["test_accuracy"] == right / 12


def test_reports_come_when_they_are_due(finished):
    workdir, _ = finished
    reports = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    steps = {"train": [], "validation": []}
    for report in reports:
        steps[report["split"]].append(report["step"])
        assert 0 <= report["accuracy"] <= 1 and np.isfinite(report["loss"])
    assert steps == {"train": [5, 6, 10, 12, 15, 18, 20, 24], "validation": [6, 12, 18, 24]}
    assert all(r["images_per_second"] > 0 for r in reports if r["split"] == "train")
    assert all(r["learning_rate"] == 0.01 for r in reports if r["split"] == "train")
    assert all(r["examples"] == 12 for r in reports if r["split"] == "validation")


def test_epochs_of_a_fraction_of_a_step_are_validated_where_they_end(tmp_path):
    # 48 examples in batches of 9: epochs end within the steps 6, 11 and 16.
    run.run(tiny.config(batch_size=9, epochs=3.0), tmp_path)
    steps = [r["step"] for r in tiny.metrics(tmp_path) if r["split"] == "validation"]
    assert steps == [6, 11, 16]


def test_tensorboard_reads_what_the_json_lines_hold(finished):
    tiny.check_events(finished[0])


def test_one_seed_gives_one_network_and_another_another(finished, tmp_path):
    _, result = finished
    again = run.run(tiny.config(), tmp_path / "again")
    other = run.run(tiny.config(seed=4), tmp_path / "other")
    assert again["params_sha256"] == result["params_sha256"] != other["params_sha256"]
    assert again["test_loss"] == result["test_loss"]
    assert tiny.metrics(tmp_path / "again") == tiny.metrics(finished[0])


def test_several_devices_train_the_same_network(finished, tmp_path):
    for kind in ("pmap", "jit"):
        values = {"parallel__devices": 4, "parallel__mapper": kind}
        result = run.run(tiny.config(**values), tmp_path / kind)
        assert result["test_loss"] == pytest.approx(finished[1]["test_loss"], abs=1e-4)
    assert tiny.metrics(tmp_path / "pmap")[-1]["loss"] == pytest.approx(
        tiny.metrics(finished[0])[-1]["loss"], abs=1e-4
    )


def test_a_finished_run_says_so_and_changes_nothing(finished, capsys):
    workdir, result = finished
    before = tiny.contents(workdir)
    assert run.run(tiny.config(report__tensorboard=True), workdir) == result
    said = capsys.readouterr().out
    accuracy, loss = (f"{result[f'test_{name}']:.4f}" for name in ("accuracy", "loss"))
    assert f"is complete. Test: loss {loss}, accuracy {accuracy}.\n" in said
    assert f"experiments.evaluate --workdir={workdir}, or" in said and "another --workdir" in said
    assert tiny.contents(workdir) == before


def test_a_complete_run_of_another_task_names_the_figures_of_that():
    config = {"task": "localization", "data": {"name": "scenes"}}
    figures = tasks.TASKS["localization"].figures
    result = {"test_loss": 0.5, **{f"test_{name}": 0.25 for name in figures}}
    said = run.closing(config, Path("my runs/a"), result)
    shown = ", ".join(f"{name.replace('_', ' ')} 0.2500" for name in figures)
    assert f"my runs/a is complete. Test: loss 0.5000, {shown}." in said
    assert "--workdir='my runs/a' FILE" in said


def test_a_lost_result_is_found_again(finished, tmp_path):
    workdir, result = finished
    before = tiny.metrics(workdir)
    (workdir / "result.json").unlink()
    again = run.run(tiny.config(report__tensorboard=True), workdir)
    assert {**again, "seconds": 0, "programs": 0} == {**result, "seconds": 0, "programs": 0}
    assert tiny.metrics(workdir) == before


def test_another_config_is_refused_with_what_differs_and_nothing_is_lost(finished):
    workdir, _ = finished
    before = tiny.contents(workdir)
    changed = tiny.config(optimizer__learning_rate=0.02, model__units=(9,), epochs=5.0)
    with pytest.raises(InputError) as refusal:
        run.run(changed, workdir)
    for words in (
        "optimizer.learning_rate: 0.01, now 0.02",
        "model.units: [8], now [9]",
        "epochs: 4.0, now 5.0",
        "another workdir",
    ):
        assert words in str(refusal.value)
    assert tiny.contents(workdir) == before


def test_other_data_under_the_same_name_are_refused(tmp_path, monkeypatch):
    original = data.sources.DATASETS["synthetic"]
    run.run(tiny.config(epochs=1.0), tmp_path)
    (tmp_path / "result.json").unlink()
    before = tiny.contents(tmp_path)
    other = functools.partial(original, draw_seed=5)
    monkeypatch.setitem(data.sources.DATASETS, "synthetic", other)
    with pytest.raises(InputError, match=r"synthetic is not what the run .* began with \(mean: "):
        run.run(tiny.config(epochs=1.0), tmp_path)
    assert tiny.contents(tmp_path) == before


def test_a_second_run_in_a_workdir_is_refused_while_the_first_lives(finished):
    workdir, _ = finished
    before = tiny.contents(workdir)
    with (
        files.claim(workdir),
        pytest.raises(InputError, match=f"in use by process {os.getpid()}"),
    ):
        run.run(tiny.config(), workdir)
    assert tiny.contents(workdir) == before
    files.claim(workdir).close()


def test_a_workdir_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for workdir in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="cannot be written: "):
            run.run(tiny.config(), workdir)
    assert (tmp_path / "file").read_text() == "mine"
    if os.geteuid() == 0:
        return  # whom no permission stops
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written: Permission denied"):
        run.run(tiny.config(), tmp_path / "closed" / "run")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": 30, "parallel__devices": 4}, "30 does not divide by 4 devices"),
        ({"optimizer__accumulate": 3}, "8 examples per device do not divide into 3 pieces"),
        ({"parallel__devices": 9}, "9 devices were asked for, 8 exist"),
        ({"data__validation": 0.0, "evaluate__select": "best"}, "needs a validation split"),
        ({"optimizer__weight_decay": 0.1, "optimizer__decay": "c2/.*"}, "no parameter is named"),
        ({"epochs": 0.01}, "less than one step"),
        ({"model__feature": (2, 4)}, "did you mean features"),
        ({"optimizer__rho": 0.9}, "optimizer adam has no field 'rho'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_recorded(changes, words, tmp_path):
    with pytest.raises(InputError, match=words):
        run.run(tiny.config(**changes), tmp_path)
    assert tiny.contents(tmp_path) == {}


def test_without_validation_there_is_a_result_all_the_same(tmp_path):
    result = run.run(tiny.config(data__validation=0.0, epochs=1.0), tmp_path)
    assert result["step"] == 8
    assert {report["split"] for report in tiny.metrics(tmp_path)} == {"train"}
    network = trained.load(tmp_path)
    empty = trained.load_data(network.config).validation
    evaluate = trained_evaluator(network)
    assert evaluate(network.variables, empty) == {}


def test_requests_to_stop_are_heard_in_the_main_thread_only():
    heard = []

    def elsewhere():
        with stop.requests() as stop_requested:
            heard.append(stop_requested())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert heard == [False]


def test_a_command_that_is_interrupted_ends_with_the_shells_status(monkeypatch):
    def main(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(launch.logging, "set_verbosity", lambda verbosity: None)
    assert launch.guarded(main, ["train"]) == 130


def trained_evaluator(network):
    from cnnjax.evaluation.evaluate import evaluator

    return evaluator(
        network.task, network.module, network.preprocess, parallel.mapper("jit", 1), 10
    )


def test_zero_epochs_test_the_network_as_it_was_initialised(tmp_path):
    result = run.run(tiny.config(epochs=0.0), tmp_path)
    assert result["step"] == 0 and result["test_examples"] == 12
    assert trained.load(tmp_path).step == 0


def test_the_best_checkpoint_is_tested_where_the_config_says_so(tmp_path):
    # A rate this large makes validation go up and down.
    changes = {"evaluate__select": "best", "optimizer__learning_rate": 0.1, "epochs": 6.0}
    result = run.run(tiny.config(**changes, checkpoint__every_epochs=0.0), tmp_path)
    scores = {
        r["step"]: r["accuracy"] for r in tiny.metrics(tmp_path) if r["split"] == "validation"
    }
    best = max(scores, key=lambda step: (scores[step], step))
    assert result["tested_step"] == best < result["step"] == 36
    network = trained.load(tmp_path)
    assert network.step == best and trained.load(tmp_path, "last").step == 36
    assert tree.digest(network.variables["params"]) == result["params_sha256"]
    found = trained_evaluator(network)(network.variables, trained.load_data(network.config).test)
    assert found["accuracy"] == result["test_accuracy"]
    assert found["loss"] == pytest.approx(result["test_loss"], rel=1e-6)
    assert best in checkpoint.steps(tmp_path)


def test_preprocessing_is_that_of_the_training_split(finished):
    network = trained.load(finished[0])
    dataset = trained.load_data(network.config)
    pixels = dataset.train.images / 255
    expected = (pixels - pixels.mean()) / pixels.std()
    np.testing.assert_allclose(network.preprocess(dataset.train.images), expected, atol=1e-5)
    config = {**network.config, "data": {**network.config["data"], "normalize": "unit"}}
    plain = trained.preprocessing(config, dataset.shape, dataset.mean, dataset.std)
    ours = images.normalized(dataset.train.images, plain)
    np.testing.assert_allclose(ours, pixels, atol=1e-6)
    np.testing.assert_array_equal(ours, data.normalize(dataset.train.images))


def test_a_gpu_is_deterministic_by_config_only_where_its_flags_came_in_time(tmp_path, monkeypatch):
    config = tiny.config(deterministic=True, epochs=0.0)
    run.run(config, tmp_path / "cpu")
    monkeypatch.setattr(parallel.Mapper, "platform", "gpu")
    monkeypatch.setattr(compiler, "options", lambda platform: {})
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    with pytest.raises(InputError, match="before JAX uses a device"):
        run.run(config, tmp_path / "late")
    compiler.be_deterministic()
    run.run(config, tmp_path / "in time")
    environment = json.loads((tmp_path / "in time" / "env.json").read_text())
    assert environment["XLA_FLAGS"].split() == [
        "--xla_cpu_enable_fast_math=false", *compiler.DETERMINISTIC
    ]  # fmt: skip
