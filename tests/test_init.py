"""Runs that start from another run or a file, in phases, and that go on where another has ended."""

import json
import signal

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from cnnjax import config as configuration
from cnnjax import tree
from cnnjax.errors import InputError
from cnnjax.evaluation import trained
from cnnjax.train import course, run, start
from cnnjax.train.experiment import check_parts, prepare
from cnnjax.train.stop import Stopped
from cnnjax.workdir import checkpoint
from tests import tiny
from tests.test_resume import during, send

PHASES = {"freeze": "c1|c3", "unfreeze__after_epochs": 1.0, "unfreeze__keep": "c1"}
PHASES |= {"unfreeze__learning_rate": 0.001, "epochs": 2.0}
pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A finished run, and a file of its weights."""
    workdir = tmp_path_factory.mktemp("source") / "run"
    run.run(tiny.config(epochs=1.0), workdir)
    leaves = tree.flatten(trained.load(workdir).variables)
    save_file({k: np.asarray(v) for k, v in leaves.items()}, workdir.parent / "a.safetensors")
    return workdir


def leaves(workdir, step=None):
    return tree.flatten(jax.device_get(trained.load(workdir, step=step).variables))


def same(result, other):
    ignored = {"seconds": 0, "programs": 0, "init": 0}
    assert {**result, **ignored} == {**other, **ignored}


def stopped(config, workdir, *steps):
    for step in steps:
        with pytest.MonkeyPatch.context() as patch:
            during(step, patch, send(signal.SIGTERM))
            with pytest.raises(Stopped):
                run.run(config, workdir)


def test_a_run_starts_from_another_ones_weights_and_pixels(source, tmp_path, capsys):
    config = tiny.config(init__path=str(source), epochs=1.0, freeze="c1|c3|f5", seed=5)
    result = run.run(config, tmp_path)
    said = capsys.readouterr().out
    assert f"Starting from {source}: 8 arrays; the head is kept" in said
    assert f"Pixels are normalised as for {source}: order rgb, scale" in said
    assert "172 parameters (136 frozen)" in said
    before, after = leaves(source), leaves(tmp_path)
    still = {name for name in before if (before[name] == after[name]).all()}
    assert still == {name for name in before if "/head/" not in name}
    theirs, ours = (trained.load(w).preprocessing for w in (source, tmp_path))
    assert ours == theirs and theirs.mean != trained.load_data(trained.load(tmp_path).config).mean
    digest = tree.digest(trained.load(source).variables)
    told = {"path": str(source), "sha256": digest}
    assert result["init"] == told == json.loads((tmp_path / "env.json").read_text())["init"]
    assert json.loads((tmp_path / "config.json").read_text())["init"]["sha256"] == digest


def test_a_file_starts_a_run_and_is_not_read_again(source, tmp_path, capsys):
    file = tmp_path / "a.safetensors"
    file.write_bytes((source.parent / "a.safetensors").read_bytes())
    config = tiny.config(init__path=str(file), epochs=1.0, data__image_size=10)
    expected = run.run(config, tmp_path / "left alone")
    with pytest.MonkeyPatch.context() as patch:
        stopped(config, tmp_path / "run", 3)
        patch.setattr(start, "read", lambda config: pytest.fail("read again"))
        file.write_bytes(b"another file")
        capsys.readouterr()
        same(run.run(config, tmp_path / "run"), expected)
        assert f"warning: {file} is not what it was when this run began" in capsys.readouterr().out
    # Without a checkpoint the file is needed, and must be the one.
    for folder in ("checkpoints", "damaged"):
        (tmp_path / "run" / "result.json").unlink(missing_ok=True)
        place = tmp_path / "run" / folder
        if place.exists():
            place.rename(tmp_path / f"moved {folder}")
    with pytest.raises(InputError, match="cannot|no file of weights|is not what"):
        run.run(config, tmp_path / "run")


def state_of(capsys, tmp_path, source, **changes):
    """Returns what a run says that starts from `source`, and takes no step."""
    run.run(tiny.config(init__path=str(source), epochs=0.0, **changes), tmp_path / "run")
    return capsys.readouterr().out


def test_the_head_is_fresh_where_classes_differ(source, tmp_path, capsys):
    said = state_of(capsys, tmp_path, source, data__classes=3)
    assert "the head is fresh (params/head/bias, params/head/kernel)" in said
    before, after = leaves(source), leaves(tmp_path / "run")
    assert (before["params/c3/kernel"] == after["params/c3/kernel"]).all()
    with pytest.raises(InputError, match=r"misshapen  params/head/bias .*\(3,\).*found \(4,\)"):
        state_of(capsys, tmp_path / "kept", source, data__classes=3, init__head="kept")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model__features": (2, 5)}, "features=\\(2, 4\\), and this one has \\(2, 5\\)"),
        ({"model__act": "relu"}, "act='tanh', and this one has 'relu': give --config.model.act="),
        ({"init__select": "lastt"}, "init.select='lastt' of a run; did you mean last"),
        ({"init__sha256": "0" * 64}, "is not what init.sha256 says: 0000"),
        ({"init__path": "/nowhere"}, "init.path=/nowhere does not exist"),
        ({"unfreeze__keep": "c1"}, "set unfreeze.after_epochs"),
        ({"unfreeze__after_epochs": 4.0}, "must be less than the 4 epochs of the run"),
        ({"optimizer__rates": (("c2", 0.1),)}, "optimizer.rates='c2' matches no layer"),
        ({"optimizer__rates": ("c1", 0.1)}, "must be pairs of a pattern and a factor"),
    ],
)
def test_what_does_not_fit_is_refused_before_data_are_read(
    changes, words, source, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "load_data", lambda config: pytest.fail("read data"))
    with pytest.raises(InputError, match=words):
        run.run(tiny.config(**{"init__path": str(source)} | changes), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_file_of_another_network_is_refused_with_names_and_shapes(source, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "load_data", lambda config: pytest.fail("read data"))
    config = tiny.config(init__path=str(source.parent / "a.safetensors"), data__image_size=10)
    config.model.units = (9,)
    with pytest.raises(InputError, match=r"misshapen +params/f5/kernel .*\(4, 9\).*\(4, 8\)"):
        run.run(config, tmp_path)


def test_two_phases_are_one_run_with_one_resume(tmp_path):
    config = tiny.config(**PHASES)
    expected = run.run(config, tmp_path / "left alone")
    # Six steps an epoch: within each phase, on the border and just after it.
    stopped(config, tmp_path / "run", 2, 5, 6, 9)
    same(run.run(config, tmp_path / "run"), expected)
    assert tiny.metrics(tmp_path / "run") == tiny.metrics(tmp_path / "left alone")
    rates = {r["step"]: r["learning_rate"] for r in tiny.metrics(tmp_path / "run")
             if r["split"] == "train"}  # fmt: skip
    assert rates[6] == 0.01 and rates[12] == 0.001
    middle, end = (leaves(tmp_path / "left alone", step) for step in (6, 12))
    still = {name.split("/")[1] for name in end if (middle[name] == end[name]).all()}
    assert still == {"c1"}


@pytest.mark.slow
def test_a_damaged_checkpoint_after_the_border_gives_way_to_the_one_on_it(tmp_path):
    config = tiny.config(**PHASES)
    expected = run.run(config, tmp_path / "left alone")
    stopped(config, tmp_path / "run", 8)
    values = next((tmp_path / "run/checkpoints/9/variables/d").iterdir())
    values.write_bytes(values.read_bytes()[:-5])
    same(run.run(config, tmp_path / "run"), expected)


def test_an_extended_run_ends_as_the_longer_one(source, tmp_path, capsys):
    changes = {"epochs": 2.0, "seed": 3}
    expected = run.run(tiny.config(**changes), tmp_path / "at once")
    config = tiny.config(init__path=str(source), init__take="run", **changes)
    stopped(config, tmp_path / "run", 8)
    said = capsys.readouterr().out
    assert f"Going on from {source} at step 6 of 12: epochs: 1.0, now 2.0." in said
    same(run.run(config, tmp_path / "run"), expected)
    with pytest.raises(InputError, match="has taken 6 steps, and 1 epochs are 6: give more"):
        run.run(tiny.config(init__path=str(source), init__take="run", epochs=1.0), tmp_path / "no")


def test_the_average_of_weights_is_what_is_evaluated_and_saved(tmp_path):
    config = tiny.config(epochs=1.0, optimizer__ema=0.9, freeze="c1")
    result = run.run(config, tmp_path / "left alone")
    stopped(config, tmp_path / "run", 3)
    same(run.run(config, tmp_path / "run"), result)
    # The same steps as without: the average looks on.
    raw = run.run(tiny.config(epochs=1.0, freeze="c1"), tmp_path / "without")
    values = configuration.check(config)
    state = course.initial(prepare(values, run.load_data(values), check_parts(values)))
    templates = {"variables": state.variables, "training": state.saved()}
    items = checkpoint.read(tmp_path / "run", 6, templates)
    assert tree.digest(items["training"]["trained"]["params"]) == raw["params_sha256"]
    assert tree.digest(items["variables"]["params"]) == result["params_sha256"]
    assert result["params_sha256"] != raw["params_sha256"]
    averaged, last = leaves(tmp_path / "run"), leaves(tmp_path / "without")
    assert (averaged["params/c1/kernel"] == last["params/c1/kernel"]).all()
