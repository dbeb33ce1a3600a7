"""The torture itself: it must notice a run that does not survive, and real runs must."""

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cnnjax import torture
from cnnjax.errors import InputError
from cnnjax.torture import harms, trials
from cnnjax.torture.subject import Lost, Subject

ROOT = Path(__file__).parent.parent
# A run of 40 steps of 20 ms that saves its step, in the words and files of experiments.train.
TOY = """
import json, os, pathlib, signal, sys, time
workdir, kind = pathlib.Path(sys.argv[-1].partition("=")[2]), sys.argv[1]
workdir.mkdir(exist_ok=True)
saved, result, asked = workdir / "step", workdir / "result.json", []
if result.exists():
    sys.exit(0)
handler = (lambda *_: sys.exit(3)) if kind == "deaf" else (lambda *_: asked.append(1))
signal.signal(signal.SIGTERM, handler)
signal.signal(signal.SIGINT, handler)
print("40 steps on 1 x toy", flush=True)
first = step = int(saved.read_text() or 0) if saved.exists() else 0
while step < 40:
    if asked:
        sys.exit(75)
    time.sleep(0.02)
    step += 1
    part = workdir / "part"
    part.write_text(str(step))
    os.replace(part, saved)
if kind == "loud":
    print("Traceback (most recent call last):", file=sys.stderr)
report = '{"step": 40, "loss": 1.5, "images_per_second": %f}'
(workdir / "metrics.jsonl").write_text(report % time.time())
started = first if kind == "forgetful" else 0
result.write_text(json.dumps({"params_sha256": str(started), "seconds": time.time()}))
"""


def toy(folder, kind):
    file = folder / "toy.py"
    file.write_text(TOY)
    return sys.executable, str(file), kind


@pytest.mark.parametrize(
    ("kind", "harm", "lost"),
    [
        ("honest", "kill", ""),
        ("honest", "stop", ""),
        ("forgetful", "kill", "result: {'params_sha256': "),
        ("deaf", "stop", "ended with status 3"),
        ("loud", "kill", "a traceback"),
    ],
)
def test_a_run_that_breaks_its_promise_is_lost(kind, harm, lost, tmp_path, monkeypatch):
    monkeypatch.setattr(
        harms, "after_a_while", lambda subject, draw: subject.until(lambda: step_of(subject) > 3)
    )
    expected = torture.reference(toy(tmp_path, "honest"), tmp_path / "reference")
    deadline = time.monotonic() + 1
    found = torture.trial(
        toy(tmp_path, kind), tmp_path / "trial", expected, [harm], seed=1, deadline=deadline
    )
    assert found.struck[harm] >= 1
    assert lost in found.lost and bool(lost) == bool(found.lost)


def step_of(subject):
    file = subject.workdir / "step"
    return int(file.read_text() or 0) if file.exists() else 0


def test_a_run_that_fails_by_itself_is_no_reference(tmp_path):
    with pytest.raises(Lost, match="a traceback"):
        torture.reference(toy(tmp_path, "loud"), tmp_path / "reference")


def test_damage_that_nothing_tells_of_is_a_loss(tmp_path, monkeypatch):
    subject = Subject(toy(tmp_path, "honest"), tmp_path / "work")
    file = tmp_path / "work" / "checkpoints" / "7" / "variables" / "d"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"values")
    monkeypatch.setattr(harms, "kill", lambda subject, draw: True)
    with pytest.raises(Lost, match="was damaged, and nothing said so"):
        harms.flip(subject, np.random.default_rng(0))
    subject.close()
    flipped = np.frombuffer(file.read_bytes(), np.uint8) ^ np.frombuffer(b"values", np.uint8)
    assert np.unpackbits(flipped).sum() == 1


def test_endings_are_compared_part_by_part():
    expected = {"result": {"a": 1}, "metrics": [], "discarded": []}
    trials.compare(dict(expected), expected)
    for name, other in (("result", {"a": 2}), ("metrics", [1]), ("discarded", ["step_3.npz"])):
        with pytest.raises(Lost, match=name):
            trials.compare(expected | {name: other}, expected)


def test_an_unknown_harm_is_refused():
    with pytest.raises(InputError, match="unknown harm 'kil'; did you mean"):
        torture.HARMS["kil"]


@pytest.mark.slow
def test_real_runs_survive():
    done = subprocess.run(
        (sys.executable, "-m", "experiments.torture", "--minutes=0.7", "--seed=3"),
        cwd=ROOT, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    runs, harmed, lost = map(
        int, re.findall(r"(\d+) runs, harmed (\d+) times.* (\d+) lost", done.stdout)[0]
    )
    assert runs >= 2 and harmed >= 4 and lost == 0
