"""Populations: who takes over from whom, and that a killed one goes on to the same bits."""

import json

import numpy as np
import pytest

from cnnjax import config as configuration
from cnnjax.errors import InputError
from cnnjax.evaluation import trained
from cnnjax.sweep import plan, points, population, record, report, space, table, worker
from cnnjax.train import run
from cnnjax.train.stop import Stopped
from tests import tiny

TEXT = "optimizer.learning_rate=log(1e-4,1e-1) label_smoothing=uniform(0.01,0.3)"
pytestmark = pytest.mark.usefixtures("quick_compilation")


def sweep(text=TEXT, population=5, config=None, **options):
    base = configuration.check(tiny.config(epochs=4.0, **(config or {})))
    made = points.check_space(space.read(text), base)
    return record.Sweep(base, made, population=population, draw=1, **options)


def trained_in(folder, what, times=10**6, **options):
    """Trains until asked to stop for the `times`-th time."""
    made, kept = worker.begin(folder, what)
    asked = []

    def stop_requested():
        asked.append(1)
        return len(asked) > times

    population.train(folder, made, kept, stop_requested, **options)
    return table.write(folder, made, kept)


def history(folder):
    return [json.loads(line) for line in (folder / population.HISTORY).read_text().splitlines()]


def test_the_worst_takes_over_from_the_best():
    what = sweep()
    rates = (0.001, 0.002, 0.004, 0.008, 0.016)
    values = [{"optimizer.learning_rate": r, "label_smoothing": 0.3} for r in rates]
    line = population.next_line(what, 12, [0.5, np.nan, 0.9, 0.2, 0.3], values)
    assert [m["from"] for m in line["members"]] == [0, 2, 2, 3, 4]
    now = line["members"][1]["values"]
    assert now["optimizer.learning_rate"] in (pytest.approx(0.0032), pytest.approx(0.0048))
    assert now["label_smoothing"] in (pytest.approx(0.24), 0.3)
    assert [m["values"] for i, m in enumerate(line["members"]) if i != 1] == [
        v for i, v in enumerate(values) if i != 1
    ]
    assert (
        population.next_line(what, 12, [0.5, np.nan, 0.9, 0.2, 0.3], values)["members"]
        == (line["members"])
    )
    alike = population.next_line(what, 12, [0.5] * 5, values)
    assert [m["from"] for m in alike["members"]] == [0, 1, 2, 3, 4]
    by_loss = population.next_line(sweep(metric="loss"), 12, [0.5, 0.1, 0.9, 0.4, 0.3], values)
    assert by_loss["members"][2]["from"] == 1
    last = population.next_line(what, 12, [0.5, 0.1, 0.9, 0.4, 0.3], values, last=True)
    assert [m["from"] for m in last["members"]] == [0, 1, 2, 3, 4]


def test_values_are_explored_within_their_range():
    made = sweep("batch_size=int(8,10) model.kernel=1|2|3 label_smoothing=uniform(0.1,0.2)").space
    seen = [
        population.explored(
            made, {"batch_size": 9, "model.kernel": 2, "label_smoothing": 0.15},
            np.random.default_rng(i),
        )
        for i in range(20)
    ]  # fmt: skip
    assert {s["batch_size"] for s in seen} == {8, 10}
    assert {s["model.kernel"] for s in seen} == {1, 3}
    assert {round(s["label_smoothing"], 6) for s in seen} == {0.12, 0.18}
    ends = population.explored(
        made,
        {"batch_size": 10, "model.kernel": 3, "label_smoothing": 0.2},
        np.random.default_rng(1),
    )
    assert ends["batch_size"] in (8, 10) and ends["model.kernel"] in (2, 3)


def test_the_schedule_of_a_member_is_that_of_its_weights():
    def line(step, *members):
        return {"step": step, "members": [{"from": f, "values": v} for f, v in members]}

    lines = [line(0, (0, "a"), (1, "b")), line(5, (1, "c"), (1, "b")),
             line(10, (0, "c"), (0, "d")), line(15, (0, "c"), (1, "d"))]  # fmt: skip
    expected = [{"step": 0, "values": "b"}, {"step": 5, "values": "c"}, {"step": 10, "values": "d"}]
    assert population.schedule(lines, 1) == expected


@pytest.mark.slow
def test_a_population_that_is_stopped_ends_with_the_same_bits(tmp_path):
    found = trained_in(tmp_path / "alone", sweep(), together=False)
    assert [r["state"] for r in found] == ["done"] * 5
    with pytest.raises(Stopped):
        trained_in(tmp_path / "stopped", sweep(), 2, together=False)
    assert len(history(tmp_path / "stopped")) == 3
    # What was written after the last checkpoint is forgotten.
    with (tmp_path / "stopped" / population.HISTORY).open("a") as file:
        file.write(json.dumps({"step": 10**6, "members": []}) + "\n")
    again = trained_in(tmp_path / "stopped", sweep(), together=False)
    assert [(r["params_sha256"], r["value"], r["schedule"]) for r in again] == [
        (r["params_sha256"], r["value"], r["schedule"]) for r in found
    ]
    assert any(m["from"] != i for line in history(tmp_path / "alone")
               for i, m in enumerate(line["members"]))  # fmt: skip
    for row in found:
        place = tmp_path / "alone" / "trials" / str(row["number"])
        assert trained.load(place).step == 24
        assert (
            json.loads((place / "result.json").read_text())["params_sha256"]
            == (row["params_sha256"][0])
        )
        assert len(row["curve"]) == 4 and row["values"] == row["schedule"][-1]["values"]
    made, kept = worker.begin(tmp_path / "alone", sweep())
    assert report.importance(made, kept) == {}
    assert "To train the best" not in report.text(tmp_path / "alone", made, found, {})
    untouched = next(
        r for r in found if len({json.dumps(s["values"]) for s in r["schedule"]}) == 1
        and all(line["members"][r["number"]]["from"] == r["number"]
                for line in history(tmp_path / "alone"))
    )  # fmt: skip
    config = configuration.check(points.applied(sweep().config, untouched["values"]))
    result = run.run(config, tmp_path / "run")
    assert result["params_sha256"] == untouched["params_sha256"][0]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"population": 1}, "at least 2 members"),
        ({"seeds": 2}, "has one seed"),
        ({"pruner": "asha"}, "stops nobody"),
        ({"text": "seed=int(0,9)"}, "take the seed out"),
        ({"config": {"evaluate__every_epochs": 0.0}}, "needs evaluate.every_epochs"),
        ({"text": "model.kernel=1|2|3|4|5"}, "is another program"),
        ({"text": "optimizer.weight_decay=uniform(0,0.1)"}, "none of them 0"),
    ],
)
def test_what_cannot_be_a_population_is_refused(tmp_path, what, words):
    with pytest.raises(InputError, match=words):
        trained_in(tmp_path, sweep(**what))


def test_a_population_is_trained_by_one_process(tmp_path):
    made, kept = worker.begin(tmp_path, sweep())
    with (
        population.locks.taken(tmp_path / population.FOLDER / "lock"),
        pytest.raises(InputError, match="another process trains"),
    ):
        population.train(tmp_path, made, kept)
    with pytest.raises(InputError, match="population: 5, now 0"):
        worker.begin(tmp_path, sweep(population=0))
    assert plan.open_trials(made, kept) is False
