"""Ctrl-C while a command imports its modules ends it, in silence."""

import signal
import subprocess
import sys
import time

import pytest

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
