"""Ctrl-C at any time of a start ends it, in silence, before there is something to save."""

import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import experiments
from cnnjax.train import run
from tests import tiny
from tests.test_entry_points import ROOT, TINY

ENDED, STOPPED = 130, 75
# Seconds in which Python itself starts, which has handlers of its own until it runs ours.
PYTHON = 0.3


def interrupted(workdir, delay):
    process = subprocess.Popen(
        (sys.executable, "-m", "experiments.train", *TINY, "--config.epochs=2000",
         f"--workdir={workdir}"),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, errors


def check(workdir, delay):
    status, errors = interrupted(workdir, delay)
    assert status in (ENDED, STOPPED), (delay, status, errors)
    answer = "\nStopping after this step, with a checkpoint; a second signal ends at once.\n"
    assert errors == (answer if status == STOPPED else ""), delay


@pytest.mark.parametrize("delay", [PYTHON, 0.95, 1.6])
def test_a_start_that_is_interrupted_ends_without_a_word(tmp_path, delay):
    check(tmp_path / "run", delay)


@pytest.mark.slow
def test_forty_starts_that_are_interrupted_end(tmp_path):
    draw = random.Random(1)
    with ThreadPoolExecutor(2) as pool:
        delays = [draw.uniform(PYTHON, 3.0) for _ in range(40)]
        list(pool.map(check, [tmp_path / f"{i}" for i in range(40)], delays))


class Interrupted:
    """Interrupts where Python prints an exception and goes on."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def in_a_callback():
    Interrupted()


def test_a_signal_in_a_callback_is_put_off_and_not_lost(monkeypatch):
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    before = signal.signal(signal.SIGINT, experiments.interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            in_a_callback()
            time.sleep(5)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not lost


@pytest.mark.parametrize("interrupt", [lambda: signal.raise_signal(signal.SIGINT), in_a_callback])
@pytest.mark.parametrize("phase", ["load_data", "prepare", "check_shared"])
def test_no_signal_before_the_first_step_is_lost(tmp_path, monkeypatch, interrupt, phase):
    lost, original = [], getattr(run, phase)

    def interrupted(*arguments):
        interrupt()
        return original(*arguments)

    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    monkeypatch.setattr(run, phase, interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.run(tiny.config(), tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(lost) == (interrupt is in_a_callback)
    assert not (tmp_path / "checkpoints").exists()
