"""What a sweep's report says, of toy runs whose answer is known."""

import csv
import io
import math
import re

import pytest
from rich.console import Console

from cnnjax.sweep import page, record, report, show, storage, table
from cnnjax.sweep.statistics import interval
from cnnjax.sweep.watch import Watch
from tests.test_sweep import size, sweep, swept

SPACE = "optimizer.learning_rate=log(1e-4,1e-1) model.kernel=1|2|3 label_smoothing=uniform(0,0.2)"


def fits(config):
    if config["model"]["kernel"] == 3:
        raise ValueError("the kernel <3> is too large")
    return size(config)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "swept"
    what = sweep(SPACE, seeds=3, pruner="asha", command=("--config=tests/tiny.py",))
    found = swept(folder, what, 30, size=fits)
    kept = storage.opened(folder, "")
    return folder, record.load(folder), found, report.importance(record.load(folder), kept)


def test_the_interval_is_students():
    mean, half = interval([1.0, 2.0, 3.0])
    # The 97.5 % point of t with two degrees of freedom is 4.3027 (any table).
    assert mean == 2.0 and half == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)
    assert math.isnan(interval([1.0])[1])


def test_the_field_that_matters_is_found(made):
    shares = made[3]
    assert next(iter(shares)) == "optimizer.learning_rate" and shares[next(iter(shares))] > 0.6
    assert sum(shares.values()) == pytest.approx(1)


def test_few_trials_have_no_importance(tmp_path):
    swept(tmp_path, sweep(), 2)
    assert report.importance(record.load(tmp_path), storage.opened(tmp_path, "")) == {}


def test_the_text_has_the_best_and_what_became_of_the_others(made):
    folder, what, found, shares = made
    text = report.text(folder, what, found, shares)
    best = table.ranked(what, found)[0]
    assert f"trial {best['number']:>4}  {100 * best['value']:.2f} % ± 0.00 % (3 seeds)" in text
    assert "python -m experiments.train --config=tests/tiny.py" in text
    assert re.search(r"Pruned:\n +\d+: after \d+ steps", text)
    assert "ValueError: the kernel <3> is too large (trial" in text
    assert f"{shares['optimizer.learning_rate']:6.1%}  optimizer.learning_rate" in text


def test_the_csv_has_a_line_per_trial(made):
    _, what, found, _ = made
    lines = list(csv.DictReader(report.as_csv(what, found).splitlines()))
    assert len(lines) == len(found)
    for line, row in zip(lines, found, strict=True):
        assert float(line["optimizer.learning_rate"]) == row["values"]["optimizer.learning_rate"]
        assert line["state"] == row["state"]
        if row["state"] == "done":
            assert float(line["accuracy"]) == row["value"]
            assert float(line["accuracy of seed 4"]) == row["validation"][1]["accuracy"]


def test_the_page_stands_alone(made):
    folder, what, found, shares = made
    text = page.html(folder, what, found, shares)
    assert text.count("<svg") == 4
    assert not re.search(r"""(src|href)\s*=\s*["']?https?:""", text)
    assert "<script" not in text and "the kernel &lt;3&gt; is too large" in text
    assert text.count("<tr") == len(found) + 1


def test_infeasible_points_are_kept_away_from(made):
    states = [row["state"] for row in made[2]]
    assert states[:12].count("infeasible") >= 2
    assert states[-15:].count("infeasible") <= 2


def test_the_table_fits_80_columns_and_shows_progress(tmp_path):
    what = sweep(SPACE)
    swept(tmp_path, what, 2, size=size)
    what, kept = record.load(tmp_path), storage.opened(tmp_path, "")
    found = [dict(row) for row in table.rows(what, kept)]
    found[1]["state"] = "running"
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(show.best_table(tmp_path, what, found, 4, 1))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "100 %" in text and "1 done, 1 running; about" in text


def test_words_of_others_are_no_markup(tmp_path, capsys):
    def unfit(config):
        raise ValueError("[/x] :smile: [red]")

    what = sweep("model.kernel=1", sampler="grid")
    found = swept(tmp_path, what, 1, size=unfit)
    with Watch(tmp_path, what) as watch:
        watch.look(found, 1)
        watch.end(found)
    said = capsys.readouterr().out
    assert all(word in said for word in ("[/x]", ":smile:", "[red]"))


def test_values_are_named_shortly_unless_that_is_ambiguous():
    assert show.short({"model.kernel": 3, "optimizer.learning_rate": 0.00123}) == (
        "kernel=3 learning_rate=0.00123"
    )
    assert show.short({"a.name": "x", "b.name": "y"}) == "a.name=x b.name=y"


def test_the_time_left():
    rows = [{"state": "done", "seconds": 60.0}] * 4
    assert show.left(rows, 10, 2) == "about 3 min left"
    assert show.left([], 10, 2) == "" and show.left(rows, 4, 2) == "about 0 s left"
