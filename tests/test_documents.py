"""Whatever the README, how_to and the guide show is what happens: commands, Python lines, pictures.

The commands run in their order, as a stranger would type them, each once: the guide goes on with
the run that the README's first command has made.
"""

import doctest
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.image_files import photographs

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
HOW_TO = (ROOT / "docs" / "how_to.md").read_text()
GUIDE = (ROOT / "docs" / "guide.md").read_text()
PICTURES = ROOT / "docs" / "pictures"
# Redrawn pictures differ where the machine or the training does.
OF_THIS_MACHINE = (
    "fourier", "learned", "test0_journey", "test0_triptych", "test0_grad_cam", "c3_patches",
    "scene", "several",
)  # fmt: skip
# Pictures that commands of the guide read.
GIVEN = ("docs/pictures/digit.png", "docs/scene.png", "docs/several.png")
# Where commands of the guide draw; the copies in docs/pictures are made by hand.
DRAWN = ("docs/pictures", "runs/digits/pictures", "runs/seen")
# What a full run of the command would take too long for, or has to read from elsewhere.
MNIST = (f"--config.data.data_dir={ROOT.parent / 'shared' / 'tfds'}", "--config.epochs=0.02")
SHORTER = {
    "runs/lenet5": (*MNIST, "--config.schedule.warmup_epochs=0"),
    "runs/mnist_cnn": (*MNIST, "--config.report.every_steps=5"),
    "runs/wide": (*MNIST, "--config.schedule.warmup_epochs=0"),
    "runs/frozen": ("--config.epochs=1",),
    "runs/tuned": ("--config.epochs=1",),
    "runs/longer": ("--config.epochs=41",),
    "runs/scenes": ("--config.epochs=1", "--config.data.examples=200"),
    "runs/several": ("--config.epochs=1", "--config.data.examples=60"),
    "runs/four": ("--config.epochs=1",),
    "runs/many": ("--config.epochs=1",),
    "runs/rates": ("--config.epochs=1", "--trials=2"),
    "runs/photos": (
        "--config.model.name=lenet5",
        "--config.epochs=1",
        "--config.schedule.warmup_epochs=0",
    ),
    "runs/sweep": ("--config.epochs=2", "--trials=3"),
}


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text):
    joined = "\n".join(blocks(text, "sh")).replace("\\\n", " ")
    lines = (line.partition("  #")[0].strip() for line in joined.splitlines())
    # A table has a command in each row; FILE is the user's own.
    rows = re.findall(r"^\|.*\| `(python -m [^`]+)` \|$", text, re.MULTILINE)
    rows = [row for row in rows if "FILE" not in row]
    return [line for line in (*lines, *rows) if line and not line.startswith("source ")]


COMMANDS = list(dict.fromkeys(commands(README) + commands(HOW_TO) + commands(GUIDE)))


def is_long(line):
    long = ("experiments.verify", "experiments.torture", "experiments.benchmark", "for i in")
    return any(name in line for name in long)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder like the checkout, for the commands to write into."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("cnnjax", "configs", "experiments", *GIVEN):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    photographs(folder / "photos", 30)
    photographs(folder / "new_photos", 3, seed=1)
    return folder


@pytest.mark.parametrize(
    "line",
    [pytest.param(c, marks=pytest.mark.slow) if is_long(c) else c for c in COMMANDS],
)
def test_the_command_runs(line, checkout, request):
    if "mnist" in line:
        request.getfixturevalue("shared")
    words = shlex.split(line)
    for workdir, overrides in SHORTER.items():
        uses = {"experiments.predict", "experiments.evaluate"} & set(words)
        if f"--workdir={workdir}" in words and not uses:
            words += overrides
    folder = checkout
    words = [word.replace("--minutes=5", "--minutes=0.2") for word in words]
    if words[0] == "make":
        folder, words = ROOT, [*words, f"RUNS={checkout / 'runs'}"]
    elif words[0] == "for":
        words = ["bash", "-c", line.replace(" &", " --config.epochs=2 &")]
    else:
        words[0] = sys.executable
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_first_command_trains_as_well_and_as_fast_as_it_says(checkout):
    result = json.loads((checkout / "runs" / "digits" / "result.json").read_text())
    assert result["test_accuracy"] >= 0.975
    assert result["seconds"]["train"] + result["seconds"]["compile"] < 60


def pixels(file):
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"), np.float32)


def test_the_commands_draw_the_pictures_of_the_guide(checkout):
    shown = set(re.findall(r"\]\(pictures/(.*?)\)", GUIDE))
    files = [file for folder in DRAWN for file in (checkout / folder).iterdir()]
    written = {file.name: file for file in files if not file.is_symlink()}
    always = {name for name, file in written.items() if file.parent.name == "pictures"}
    assert always <= shown <= written.keys()
    for name in shown:
        ours, stored = pixels(written[name]), pixels(PICTURES / name)
        assert ours.shape == stored.shape
        if Path(name).stem not in OF_THIS_MACHINE:
            # Of 255: letters may be set a little differently.
            assert abs(ours - stored).mean() < 3, name


def test_the_pictures_are_small():
    assert sum(file.stat().st_size for file in PICTURES.iterdir()) < 1_500_000


def test_the_guides_python_lines_answer_as_written():
    failures, count = doctest.testfile(str(ROOT / "docs" / "guide.md"), module_relative=False)
    assert failures == 0 and count > 25


def test_the_readmes_python_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict = {}
    for code in blocks(README, "python"):
        exec(code, names)
    assert names["logits"].shape == (8, 10) and names["logits"].dtype == "float32"
    assert names["findings"][0][0].keys() == {"class", "probability"}
    assert names["heat"].shape == (28, 28) and names["heat"].dtype == "float32"


@pytest.mark.parametrize(
    "document", ("README.md", "docs/how_to.md", "docs/guide.md", "CONTRIBUTING.md")
)
def test_a_document_names_files_that_exist(document):
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#: ]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target
