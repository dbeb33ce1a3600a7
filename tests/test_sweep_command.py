"""Sweeps as a person starts, stops, kills and repeats them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harmed_sweep import command, finished, rows

ROOT = Path(__file__).parent.parent
SPACE = "--space=optimizer.learning_rate=log(1e-3,1e-1) model.act=relu|tanh"


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
