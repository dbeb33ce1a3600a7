"""A data set that a config file brings trains, and is evaluated with that file."""

import pytest

from cnnjax.data import sources
from cnnjax.train import run
from tests import tiny
from tests.test_entry_points import command

MINE = """
from cnnjax.data import DATASETS
from cnnjax.data.sources import synthetic

def mine(examples: int = 60, size: int = 10):
    return synthetic(examples=examples, size=size)

DATASETS.setdefault("mine", mine)
"""


@pytest.mark.usefixtures("quick_compilation")
def test_the_file_is_asked_for_and_taken(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.setitem(sources.DATASETS, "mine", sources.synthetic)
    run.run(tiny.config(epochs=0.0, data__name="mine"), tmp_path / "run")
    without = command("evaluate", f"--workdir={tmp_path / 'run'}")
    assert without.returncode == 2 and "--register=FILE takes it" in without.stderr
    given = f"--register={tmp_path / 'mine.py'}"
    done = command("evaluate", f"--workdir={tmp_path / 'run'}", given, "--json")
    assert done.returncode == 0, done.stderr
    assert '"examples": 12' in done.stdout
    (tmp_path / "mine.py").write_text("1 / 0")
    broken = command("evaluate", f"--workdir={tmp_path / 'run'}", given)
    assert broken.stderr.startswith("error: --register=") and "division" in broken.stderr
    assert broken.stderr.count("\n") == 1 and broken.returncode == 2
