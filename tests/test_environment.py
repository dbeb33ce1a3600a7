"""What a run ran on, and what it says where that has changed."""

import json
import os

import pytest

from cnnjax.train import run
from cnnjax.workdir import environment
from tests import tiny


def test_what_the_last_bits_depend_on_is_recorded(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5})
    found = environment.describe()
    assert found["OMP_NUM_THREADS"] == "3" and found["usable_cores"] == 3
    assert environment.differences(found, found) == []
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert environment.differences(found, environment.describe()) == [
        "usable_cores: 3, now 1",
        "OMP_NUM_THREADS: 3, now 1",
    ]
    # What an older version did not write is not held against it, nor are its hours or its commit.
    del found["OMP_NUM_THREADS"], found["usable_cores"]
    assert environment.differences(found | {"git": None}, environment.describe()) == []


@pytest.mark.usefixtures("quick_compilation")
def test_a_run_that_goes_on_elsewhere_says_so(tmp_path, capsys, monkeypatch):
    config = tiny.config(epochs=0.0, schedule__name="step")
    run.run(config, tmp_path)
    (tmp_path / "result.json").unlink()
    run.run(config, tmp_path)
    assert "warning" not in capsys.readouterr().out
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    for content in (None, "[]", "{", '{"packages": 1}'):
        (tmp_path / "result.json").unlink()
        if content is not None:
            (tmp_path / "env.json").write_text(content)
        run.run(config, tmp_path)
        said = "OMP_NUM_THREADS: none, now 7): its last bits may differ" in capsys.readouterr().out
        assert said == (content is None)
        assert json.loads((tmp_path / "env.json").read_text())["OMP_NUM_THREADS"] == "7"
