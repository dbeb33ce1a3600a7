"""Sweeps as a person starts, stops, kills and repeats them."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnnjax.workdir import checkpoint
from tests import postgres_server

ROOT = Path(__file__).parent.parent
SPACE = "--space=optimizer.learning_rate=log(1e-3,1e-1) model.act=relu|tanh"


def command(*arguments):
    return (sys.executable, "-m", "experiments.sweep", *map(str, arguments))


def started(*arguments, **options):
    return subprocess.Popen(
        command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, **options,
    )  # fmt: skip


def finished(*arguments):
    process = started(*arguments)
    return process.communicate(timeout=500)[0], process.returncode


def rows(folder):
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def test_a_sweep_of_real_runs(tmp_path):
    said, status = finished(
        "--config=tests/tiny.py", "--config.epochs=2.0", f"--workdir={tmp_path}",
        "--space=model.kernel=3|9 label_smoothing=0.0|0.1", "--sampler=grid",
    )  # fmt: skip
    assert status == 0, said
    found = rows(tmp_path)
    assert [r["state"] for r in found] == ["done", "done", "infeasible", "infeasible"]
    assert "10x10 images are too small" in found[2]["reason"]
    for row in found[:2]:
        result = json.loads((tmp_path / "trials" / str(row["number"]) / "result.json").read_text())
        assert row["params_sha256"] == [result["params_sha256"]]
        assert "trial 0 done: accuracy" in said
    # The command that is printed trains the best point to the same bits.
    best = max(found[:2], key=lambda r: (r["value"], -r["number"]))
    line = next(
        line for line in said.splitlines() if line.startswith("python -m experiments.train")
    )
    words = line.replace("python", sys.executable, 1).replace("runs/best", str(tmp_path / "best"))
    subprocess.run(words, shell=True, cwd=ROOT, check=True, capture_output=True)
    again = json.loads((tmp_path / "best" / "result.json").read_text())
    assert again["params_sha256"] == best["params_sha256"][0]
    (tmp_path / "trials.jsonl").unlink()
    said, status = finished(f"--workdir={tmp_path}", "--rebuild")
    assert status == 0 and rows(tmp_path) == found, said
    for more in ("--seeds=2", "--config.epochs=3.0"):
        said, status = finished(f"--workdir={tmp_path}", "--trials=3", more)
        assert status == 2 and f"error: {more.partition('=')[0]} needs --space=" in said, said
    said, status = finished(f"--workdir={tmp_path}", "--trials=3", "--rebuild")
    assert json.loads((tmp_path / "sweep.json").read_text())["trials"] == 3, said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--workdir=DIR is missing"),
        (("--workdir=WORK",), "--space='FIELD=VALUES ...' is missing"),
        (("--workdir=WORK", "--space=model.kernal=3|5"), "did you mean model.kernel"),
        (("--workdir=WORK", SPACE, "--storage=postgresql://nobody@127.0.0.1:9/none"), "cannot be"),
    ],
)
def test_unusable_arguments_end_in_a_plain_line(arguments, words, tmp_path):
    given = [a.replace("WORK", str(tmp_path / "work")) for a in arguments]
    said, status = finished(*given)
    assert status == 2 and words in said and "Traceback" not in said
    assert not (tmp_path / "work" / "sweep.json").exists()


def test_data_that_cannot_be_had_are_no_trials_fault(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # as good as no network
    said, status = finished(
        "--config=configs/mnist.py", f"--config.data.data_dir={tmp_path / 'none'}",
        f"--workdir={tmp_path}", "--space=model.kernel=3|5",
    )  # fmt: skip
    assert status == 1 and "Traceback" not in said, said
    assert "error: worker 0: " in said and "manual_dir" in said and rows(tmp_path) == []


def crowd(folder, trials, *more):
    return (
        "--config=tests/tiny.py", "--config.epochs=40.0", "--config.data.examples=200",
        "--config.checkpoint.every_epochs=4.0", "--config.evaluate.every_epochs=10.0",
        SPACE, f"--trials={trials}", "--workers=2", "--sampler=random", f"--workdir={folder}",
        *more,
    )  # fmt: skip


def digests(folder):
    return [(r["number"], r["state"], r["params_sha256"], r["value"]) for r in rows(folder)]


def children(pid):
    tasks = Path(f"/proc/{pid}/task")
    return [int(c) for task in tasks.glob("*/children") for c in task.read_text().split()]


def reports(folder):
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("trials/*/metrics.jsonl"))


def until_reported(process, folder, count):
    """Waits for so many more lines of a sweep's runs; each has 170 in all."""
    goal, deadline = reports(folder) + count, time.monotonic() + 200
    while process.poll() is None and reports(folder) < goal:
        assert time.monotonic() < deadline, "the runs of the sweep report nothing"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_sweep_survives_what_is_done_to_it(tmp_path):
    """Workers are killed at random, then all is stopped, and then the parent itself is killed."""
    said, status = finished(*crowd(tmp_path / "alone", 8))
    assert status == 0, said
    draw = random.Random(1)
    process = started(*crowd(tmp_path / "harmed", 8), start_new_session=True)
    killed = 0
    while killed < 5:
        until_reported(process, tmp_path / "harmed", draw.randint(1, 100))
        if process.poll() is not None:
            break
        if workers := children(process.pid):
            os.kill(draw.choice(workers), signal.SIGKILL)
            killed += 1
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=200)[0]
    assert killed >= 3 and process.returncode == 75, said
    process = started(*crowd(tmp_path / "harmed", 8))
    until_reported(process, tmp_path / "harmed", 1)
    assert process.poll() is None
    process.kill()
    process.communicate()
    said, status = finished(*crowd(tmp_path / "harmed", 8))
    assert status == 0, said
    assert digests(tmp_path / "harmed") == digests(tmp_path / "alone")
    assert sum(r["begun"] for r in rows(tmp_path / "harmed")) > 8
    assert {r["state"] for r in rows(tmp_path / "harmed")} == {"done"}
    assert all(checkpoint.steps(place) for place in (tmp_path / "harmed" / "trials").iterdir())


@pytest.mark.slow
def test_a_sweep_survives_a_restart_of_its_server(tmp_path):
    said, status = finished(*crowd(tmp_path / "alone", 6))
    assert status == 0, said
    with postgres_server.server() as server:
        more = (f"--storage={server.url}", "--workers=4")
        process = started(*crowd(tmp_path / "served", 6, *more))
        folder = tmp_path / "served" / "trials"
        deadline = time.monotonic() + 200
        while not list(folder.glob("*/metrics.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.2)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        server.stop()
        time.sleep(3)
        server.start()
        said = process.communicate(timeout=400)[0]
        assert process.returncode == 0, said
        assert "The storage does not answer; asking again." in said
        assert digests(tmp_path / "served") == digests(tmp_path / "alone")
        assert not (tmp_path / "served" / "journal").exists()


@pytest.mark.parametrize("name", ["slurm_array.sh", "slurm_array_shared.sh"])
def test_the_files_that_start_workers_are_well_formed(name):
    path = ROOT / "docs" / "hosts" / name
    assert os.access(path, os.X_OK)
    subprocess.run(("bash", "-n", path), check=True)
    known = subprocess.run(
        command("--helpfull"), cwd=ROOT, capture_output=True, text=True, timeout=100
    ).stdout
    for flag in re.findall(r"^ .*--(\w+)=", path.read_text(), re.MULTILINE):
        assert f"--{flag}:" in known or f"--[no]{flag}:" in known, flag
