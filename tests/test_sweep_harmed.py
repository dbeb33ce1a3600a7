"""Sweeps whose workers are killed, whose server goes away, and that are stopped half-way."""

import random
import signal

import pytest

from cnnjax.workdir import checkpoint
from tests import harmed_sweep, postgres_server
from tests.harmed_sweep import digests, finished, rows, started

TRIALS = 24
pytestmark = pytest.mark.slow


def crowd(folder, *more):
    return (
        "--config=tests/tiny.py", "--config.epochs=8.0", "--config.data.examples=200",
        "--config.checkpoint.every_epochs=2.0", "--config.evaluate.every_epochs=4.0",
        "--space=optimizer.learning_rate=log(1e-3,1e-1) model.act=relu|tanh", f"--trials={TRIALS}",
        "--sampler=random", f"--workdir={folder}", *(more or ("--workers=2",)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    said, status = finished(*crowd(folder))
    assert status == 0, said
    return folder


def check(folder, alone):
    """Holds that every trial has ended once, with the bits of the sweep that was left alone."""
    assert digests(folder) == digests(alone)
    assert [r["number"] for r in rows(folder)] == list(range(TRIALS))
    assert {r["state"] for r in rows(folder)} == {"done"}
    assert harmed_sweep.ended_twice(folder) == []
    assert sum(r["begun"] for r in rows(folder)) > TRIALS
    assert all(checkpoint.steps(place) for place in (folder / "trials").iterdir())


def test_a_sweep_survives_what_is_done_to_it(tmp_path, alone):
    """Workers are killed at random, then all is stopped, and then the parent itself is killed."""
    process = started(*crowd(tmp_path), start_new_session=True)
    lines = harmed_sweep.reports(alone)
    killed = harmed_sweep.kill_workers(process, tmp_path, 5, lines // 2, random.Random(1))
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=200)[0]
    assert killed >= 3 and process.returncode == 75, said
    process = started(*crowd(tmp_path))
    harmed_sweep.until_reported(process, tmp_path, 1)
    assert process.poll() is None
    process.kill()
    process.communicate()
    said, status = finished(*crowd(tmp_path))
    assert status == 0, said
    check(tmp_path, alone)


def test_a_sweep_of_four_workers_survives_their_deaths_and_a_restart_of_its_server(tmp_path, alone):
    with postgres_server.server() as server:
        process = started(*crowd(tmp_path, f"--storage={server.url}", "--workers=4"))

        def after(number):
            if number == 3:
                harmed_sweep.restart(server)

        lines, draw = harmed_sweep.reports(alone), random.Random(2)
        killed = harmed_sweep.kill_workers(process, tmp_path, 5, lines, draw, after)
        said = process.communicate(timeout=400)[0]
        assert killed == 5 and process.returncode == 0, said
        assert "The storage does not answer; asking again." in said
        check(tmp_path, alone)
        assert not (tmp_path / "journal").exists()
