"""Whatever docs/guide.md shows is what happens: its commands, its Python lines, its pictures."""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "guide.md"
TEXT = GUIDE.read_text()
PICTURES = sorted((ROOT / "docs" / "pictures").glob("*.png"))
# Redrawn pictures differ where the machine or the training does.
OF_THIS_MACHINE = ("fourier", "learned")


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"), np.float32)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Runs all commands in their order, in a folder like the checkout that they write into."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("cnnjax", "configs", "experiments"):
        (folder / name).symlink_to(ROOT / name)
    answers = {}
    for line in commands():
        python, *rest = line.split()
        assert python == "python"
        answers[line] = subprocess.run(
            (sys.executable, *rest), cwd=folder, capture_output=True, text=True, timeout=600
        )
    return folder, answers


def test_the_python_lines_answer_as_written():
    failures, count = doctest.testfile(str(GUIDE), module_relative=False)
    assert failures == 0 and count > 25


@pytest.mark.slow
@pytest.mark.parametrize("line", commands())
def test_a_command_runs(line, ran):
    _, answers = ran
    assert answers[line].returncode == 0, answers[line].stderr


@pytest.mark.slow
def test_the_commands_draw_the_pictures_of_the_guide(ran):
    folder, _ = ran
    drawn = {file.name: file for file in (folder / "docs" / "pictures").glob("*.png")}
    shown = set(re.findall(r"\]\(pictures/(.*?)\)", TEXT))
    assert shown == set(drawn)
    for name in shown:
        ours, stored = pixels(drawn[name]), pixels(ROOT / "docs" / "pictures" / name)
        assert ours.shape == stored.shape
        if Path(name).stem not in OF_THIS_MACHINE:
            assert abs(ours - stored).mean() < 3  # of 255: letters may be set a little differently


@pytest.mark.slow
def test_the_trained_network_is_as_good_as_the_guide_says(ran):
    folder, _ = ran
    result = json.loads((folder / "runs" / "digits" / "result.json").read_text())
    assert result["test_accuracy"] > 0.97


def test_the_pictures_are_small():
    assert sum(file.stat().st_size for file in PICTURES) < 1_500_000
