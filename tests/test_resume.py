"""Runs that were stopped, killed or damaged end like the run that was left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnnjax import data
from cnnjax.train import run
from cnnjax.train.stop import Stopped
from cnnjax.workdir import checkpoint
from tests import tiny

ROOT = Path(__file__).parent.parent
TINY = {"report__tensorboard": True}


@pytest.fixture(autouse=True)
def keyboard():
    """Ctrl-C as in a terminal, also where the tests run in the background, which ignores it."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    return run.run(tiny.config(**TINY), workdir), tiny.metrics(workdir)


def during(step, monkeypatch, act):
    """Has `act` called while the batch of `step`, counted from 0, is fetched."""
    original = data.batch_indices

    def batch_indices(examples, seed, number, size, order):
        if number == step:
            act()
        return original(examples, seed, number, size, order)

    monkeypatch.setattr(data, "batch_indices", batch_indices)


def send(*numbers):
    def act():
        for number in numbers:
            os.kill(os.getpid(), number)

    return act


def same_ending(result, workdir, undisturbed):
    expected, metrics = undisturbed
    assert {**result, "seconds": 0, "programs": 0} == {**expected, "seconds": 0, "programs": 0}
    assert tiny.metrics(workdir) == metrics


def test_a_run_that_was_stopped_again_and_again_ends_the_same(undisturbed, tmp_path, capsys):
    # The second stop falls between two reports, the third just before the last step.
    for number, step in ((signal.SIGINT, 1), (signal.SIGTERM, 7), (signal.SIGINT, 22)):
        handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        with pytest.MonkeyPatch.context() as patch:
            during(step, patch, send(number))
            with pytest.raises(Stopped, match=f"Stopped at step {step + 1} of 24"):
                run.run(tiny.config(**TINY), tmp_path)
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
        assert checkpoint.steps(tmp_path)[-1] == step + 1
        assert not (tmp_path / "result.json").exists()
    capsys.readouterr()
    result = run.run(tiny.config(**TINY), tmp_path)
    assert f"Resuming {tmp_path} at step 23 of 24." in capsys.readouterr().out
    same_ending(result, tmp_path, undisturbed)
    tiny.check_events(tmp_path)


def test_a_second_signal_ends_at_once_and_costs_the_steps_since_the_checkpoint(
    undisturbed, tmp_path, capsys
):
    with pytest.MonkeyPatch.context() as patch:
        during(15, patch, send(signal.SIGINT, signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            run.run(tiny.config(**TINY), tmp_path)
    assert checkpoint.steps(tmp_path) == [6, 12]
    assert tiny.metrics(tmp_path)[-1]["step"] == 15
    same_ending(run.run(tiny.config(**TINY), tmp_path), tmp_path, undisturbed)
    assert "at step 12 of 24" in capsys.readouterr().out
    tiny.check_events(tmp_path)


def test_a_crash_frees_the_workdir_and_a_damaged_checkpoint_is_passed_over(
    undisturbed, tmp_path, capsys
):
    def crash():
        raise ZeroDivisionError

    # The first time there is no checkpoint yet.
    for step in (4, 20):
        with pytest.MonkeyPatch.context() as patch:
            during(step, patch, crash)
            with pytest.raises(ZeroDivisionError):
                run.run(tiny.config(**TINY), tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as torn:
        torn.write('{"step": 20, "spl')
    values = next((tmp_path / "checkpoints" / "18" / "variables" / "d").iterdir())
    values.write_bytes(values.read_bytes()[:-5])
    capsys.readouterr()
    result = run.run(tiny.config(**TINY), tmp_path)
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("checkpoint 18 is damaged (") and "at step 12 of 24" in said.out
    same_ending(result, tmp_path, undisturbed)
    tiny.check_events(tmp_path)


def test_the_best_network_is_the_same_however_often_the_run_was_stopped(tmp_path):
    changes = {"evaluate__select": "best", "optimizer__learning_rate": 0.1, "epochs": 5.0}
    changes |= {"checkpoint__keep": 1}
    expected = run.run(tiny.config(**changes), tmp_path / "left alone")
    assert expected["tested_step"] < expected["step"]
    stopped = tmp_path / "stopped"
    for step in (expected["tested_step"] + 1, 28):
        with pytest.MonkeyPatch.context() as patch:
            during(step, patch, send(signal.SIGTERM))
            with pytest.raises(Stopped):
                run.run(tiny.config(**changes), stopped)
    found = run.run(tiny.config(**changes), stopped)
    assert {**found, "seconds": 0, "programs": 0} == {**expected, "seconds": 0, "programs": 0}
    assert tiny.metrics(stopped) == tiny.metrics(tmp_path / "left alone")


LONG = {
    "epochs": 250.0,
    "report__every_steps": 20,
    "report__tensorboard": True,
    "evaluate__every_epochs": 50.0,
    "checkpoint__every_epochs": 10.0,
}


def start(workdir):
    """Starts the command, with as many fake devices as the tests have: that may round otherwise."""
    words = [*tiny.flags(**LONG), f"--workdir={workdir}", "--fake_devices=8"]
    return subprocess.Popen(
        (sys.executable, "-m", "experiments.train", *words),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process, workdir, step):
    """Returns once the run has reported `step`."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if (workdir / "metrics.jsonl").exists():
            text = (workdir / "metrics.jsonl").read_text()
            if f'"step": {step}, ' in text:
                return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    raise AssertionError(f"step {step} was not reached")


def test_the_command_survives_signals_and_kills(tmp_path):
    interrupted = tmp_path / "interrupted"
    process = start(interrupted)
    wait_for(process, interrupted, 100)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 75, errors
    assert time.monotonic() - asked < 10  # as the README says, of a small network
    assert "all is saved" in output and "Traceback" not in errors

    process = start(interrupted)
    wait_for(process, interrupted, 600)
    process.kill()
    process.communicate()
    assert not (interrupted / "result.json").exists()

    found = run.run(tiny.config(**LONG), interrupted)
    expected = run.run(tiny.config(**LONG), tmp_path / "left alone")
    same_ending(found, interrupted, (expected, tiny.metrics(tmp_path / "left alone")))
    tiny.check_events(interrupted)
