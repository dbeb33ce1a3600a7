"""The README's table is what its stored runs say."""

import json
from pathlib import Path

import pytest

from cnnjax.errors import InputError
from cnnjax.report import results

ROOT = Path(__file__).parent.parent


def entry(seed, accuracy, model="lenet5"):
    config = {"seed": seed, "epochs": 2.0, "model": {"name": model}, "data": {"name": "mnist"}}
    seconds = {"train": 10.0 + seed, "compile": 1.0}
    result = {"test_accuracy": accuracy, "seconds": seconds}
    return {"device": "2 cores", "config": config, "result": result}


def test_runs_that_differ_in_their_seed_share_a_row():
    stored = results.add([], [entry(0, 0.99), entry(1, 0.98), entry(0, 0.5, model="vgg11")])
    rows = results.table(stored).splitlines()[2:]
    assert rows == [
        "| lenet5 | mnist | 2 | 2 | 98.50 % (98.00 to 99.00) | 12 s | 2 cores |",
        "| vgg11 | mnist | 2 | 1 | 50.00 % (50.00 to 50.00) | 11 s | 2 cores |",
    ]


def test_a_run_made_again_replaces_its_old_record():
    stored = results.add([entry(0, 0.99)], [entry(0, 0.97)])
    assert [e["result"]["test_accuracy"] for e in stored] == [0.97]


def test_a_text_without_the_markers_is_refused():
    with pytest.raises(InputError, match="lacks the lines"):
        results.written("# no table here", [])


def test_the_readme_shows_the_stored_runs():
    text = (ROOT / "README.md").read_text()
    stored = json.loads((ROOT / "docs" / "results.json").read_text())
    assert results.written(text, stored) == text
