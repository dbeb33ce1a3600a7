"""Steps whose loss or gradient is not finite: discarded, named, stored, and how a run ends."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import data, tasks, tree
from cnnjax.evaluation import trained
from cnnjax.train import log, run, watch
from cnnjax.train.finite import accept
from cnnjax.train.state import TrainState, none_skipped
from cnnjax.workdir import files
from experiments import findings
from tests import tiny

STEPS = 24  # of a tiny run: 4 epochs of 48 images, 8 at a time
HOPELESS = {
    "optimizer__name": "sgd",
    "optimizer__learning_rate": 1e30,
    "model__act": "relu",
}


def state(step, value):
    params = {"w": jnp.full(2, value)}
    totals = {"loss": jnp.float32(value)}
    return TrainState(jnp.int32(step), params, params, params, None, totals, none_skipped())


def test_a_step_that_is_not_finite_leaves_a_note_only():
    old, seen = state(4, 1.0), []
    for finite in (False, False, True, False):
        new = state(int(old.step) + 1, float(old.params["w"][0]) + 1).replace(skipped=old.skipped)
        old = accept(old, new, jnp.bool_(finite), patience=3)
        assert old.params["w"][0] == old.totals["loss"] == old.batch_stats["w"][1]
        seen.append((int(old.step), float(old.params["w"][0]), int(old.skipped["row"])))
    assert seen == [(5, 1.0, 1), (6, 1.0, 2), (7, 2.0, 0), (8, 2.0, 1)]
    assert int(old.skipped["total"]) == 3
    assert old.skipped["recent"].tolist() == [-1] * 13 + [4, 5, 7]


def test_after_too_many_in_a_row_the_state_stands_still():
    old = state(0, 1.0)
    for finite in (False, False, True, False):
        new = state(int(old.step) + 1, jnp.nan).replace(skipped=old.skipped)
        old = accept(old, new, jnp.bool_(finite), patience=2)
    assert int(old.step) == int(old.skipped["row"]) == int(old.skipped["total"]) == 2
    assert old.params["w"].tolist() == [1.0, 1.0]


@pytest.fixture
def poisoned(monkeypatch):
    """One image of the training split is not a number for the network; returns how to find it."""
    corner = {}

    def normalized(images, record):
        pixels = data.normalize(images)
        bad = (images[:, :1, :1] == corner["pixel"]) & (images[:, -1:, -1:] == corner["last"])
        return jnp.where(bad, jnp.nan, pixels)

    monkeypatch.setattr("cnnjax.images.normalized", normalized)
    images = trained.load_data(tiny.config()).train.images
    corner["pixel"], corner["last"] = images[5, 0, 0, 0], images[5, -1, -1, 0]
    same = (images[:, 0, 0, 0] == corner["pixel"]) & (images[:, -1, -1, 0] == corner["last"])
    assert same.sum() == 1
    return lambda batch: (batch == images[5]).all((1, 2, 3)).any()


def strict(text):
    """Reads JSON, which knows no NaN."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("devices", (1, 4))
def test_one_bad_image_costs_its_batches_only(tmp_path, poisoned, capsys, devices):
    config = tiny.config(report__every_steps=1, parallel__devices=devices)
    result = run.run(config, tmp_path)
    train = trained.load_data(config).train
    batches = [data.batch(train, 3, step, 8)["image"] for step in range(STEPS)]
    bad = [step + 1 for step, batch in enumerate(batches) if poisoned(batch)]
    assert len(bad) == 4 and result["step"] == STEPS
    assert sorted(p.name for p in (tmp_path / "nonfinite").iterdir()) == sorted(
        f"step_{step}.npz" for step in bad
    )
    with np.load(tmp_path / "nonfinite" / f"step_{bad[0]}.npz") as stored:
        np.testing.assert_array_equal(stored["image"], batches[bad[0] - 1])
    assert f"not finite at step {bad[0]}: discarded" in capsys.readouterr().out
    reports = [strict(line) for line in (tmp_path / files.METRICS).read_text().splitlines()]
    silent = [r["step"] for r in reports if r["split"] == "train" and "loss" not in r]
    assert silent == bad
    leaves = tree.flatten(trained.load(tmp_path).variables).values()
    assert all(np.isfinite(leaf).all() for leaf in leaves)


@pytest.mark.parametrize("every", (1, 100))
def test_a_hopeless_run_stops_where_it_became_so(tmp_path, every):
    config = tiny.config(**HOPELESS, nonfinite__patience=3, report__every_steps=every,
                         evaluate__every_epochs=0.0)  # fmt: skip
    with pytest.raises(watch.NotFinite) as stopped:
        run.run(config, tmp_path)
    # The first step is finite, and makes weights of 1e30.
    assert "3 steps in a row, up to step 4," in str(stopped.value)
    assert not (tmp_path / files.RESULT).exists()
    assert sorted(p.name for p in (tmp_path / "nonfinite").iterdir()) == [
        "step_2.npz", "step_3.npz", "step_4.npz"
    ]  # fmt: skip


RETREATING = HOPELESS | {"nonfinite__then": "retreat", "nonfinite__factor": 1e-16,
                         "nonfinite__patience": 2}  # fmt: skip


def test_a_retreat_goes_on_from_the_last_checkpoint_with_a_smaller_rate(tmp_path, capsys):
    result = run.run(tiny.config(**RETREATING), tmp_path)
    assert files.read_retreats(tmp_path) == [0, 0]  # 1e14 is too much still
    assert result["step"] == STEPS
    assert "Back at step 0; the learning rate is 0.01" in capsys.readouterr().out
    slow = HOPELESS | {"optimizer__learning_rate": 1e30 * 1e-16**2}
    expected = run.run(tiny.config(**slow), tmp_path / "slow from the start")
    assert result["params_sha256"] == expected["params_sha256"]


def test_a_run_resumed_after_a_retreat_keeps_its_rate(tmp_path, monkeypatch):
    config = tiny.config(**RETREATING)
    expected = run.run(config, tmp_path / "undisturbed")
    steps = iter(range(1000))

    with monkeypatch.context() as patched, pytest.raises(run.stop.Stopped):
        patched.setattr(run.stop, "requests", lambda: tiny.asked(lambda: next(steps) > 20))
        run.run(config, tmp_path / "stopped")
    found = run.run(config, tmp_path / "stopped")
    assert found["params_sha256"] == expected["params_sha256"]


def test_retreats_end(tmp_path):
    config = tiny.config(**RETREATING | {"nonfinite__factor": 0.5, "nonfinite__retreats": 2})
    with pytest.raises(watch.NotFinite):
        run.run(config, tmp_path)
    assert files.read_retreats(tmp_path) == [0, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_metrics_are_strict_json_whatever_the_figures(bad, tmp_path):
    with log.Log(tmp_path, 0, 4, tensorboard=False, units={}) as written:
        written.write(2, "validation", {"loss": bad, "accuracy": 0.5})
        written.write(4, "validation", {"loss": 0.25, "accuracy": 1.0})
    lines = (tmp_path / files.METRICS).read_text().splitlines()
    assert [strict(line) for line in lines] == [
        {"step": 2, "split": "validation", "loss": None, "accuracy": 0.5},
        {"step": 4, "split": "validation", "loss": 0.25, "accuracy": 1.0},
    ]
    first, second = files.validations(tmp_path)
    assert math.isnan(first["loss"]) and first["accuracy"] == 0.5 and second["loss"] == 0.25
    # As runs from before have it.
    assert math.isnan(files.read_report('{"loss": NaN}')["loss"])


@pytest.mark.usefixtures("quick_compilation")
def test_whatever_holds_figures_is_strict_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("cnnjax.images.normalized", lambda images, record: images * jnp.nan)
    found = run.run(tiny.config(epochs=0.0), tmp_path)
    assert math.isnan(found["test_loss"])
    assert strict((tmp_path / files.RESULT).read_text())["test_loss"] is None
    capsys.readouterr()
    again = run.run(tiny.config(epochs=0.0), tmp_path)
    assert math.isnan(again["test_loss"]) and "Test: loss nan" in capsys.readouterr().out
    answers = [(tmp_path / "a.png", [{"class": "x", "probability": math.nan}])]
    findings.as_json(iter(answers), tasks.TASKS["classification"])
    assert strict(capsys.readouterr().out)["classes"] == [{"class": "x", "probability": None}]
    nested = {"trials": [{"curve": [[1, math.inf], (2, 0.5)]}], "text": "NaN", "count": 3}
    assert strict(files.as_json(nested)) == {
        "trials": [{"curve": [[1, None], [2, 0.5]]}], "text": "NaN", "count": 3
    }  # fmt: skip
