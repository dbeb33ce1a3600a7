"""Every command of the README runs, in order, as a stranger would type it."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
# What a full run of the command would take too long for, or has to read from elsewhere.
MNIST = ("--config.data.data_dir=../shared/tfds", "--config.epochs=0.02")
SHORTER = {
    "runs/mnist_cnn": (*MNIST, "--config.report.every_steps=5"),
    "runs/wide": (*MNIST, "--config.schedule.warmup_epochs=0"),
    "runs/four": ("--config.epochs=1",),
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands():
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    lines = (line.partition("  #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("source ")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("line", commands())
def test_the_command_runs(line, runs, shared):
    words = shlex.split(line)
    for workdir, overrides in SHORTER.items():
        if f"--workdir={workdir}" in words:
            words += overrides
    words = [re.sub(r"=runs/", f"={runs}/", word) for word in words]
    if words[0] == "make":
        words.append(f"RUNS={runs}")
    else:
        words[0] = sys.executable
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if line == "make train":
        result = json.loads((runs / "digits" / "result.json").read_text())
        assert result["test_accuracy"] >= 0.975
        assert result["seconds"]["train"] + result["seconds"]["compile"] < 60


def test_the_python_runs():
    (code,) = blocks("python")
    names: dict = {}
    exec(code, names)
    assert names["logits"].shape == (8, 10) and names["logits"].dtype == "float32"


def test_the_readme_names_files_that_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
