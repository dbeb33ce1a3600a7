"""Sweeps of toy runs, which take no time: what becomes of each trial, whoever dies."""

import json
import signal

import numpy as np
import pytest

from cnnjax import config as configuration
from cnnjax.errors import Failure, InputError
from cnnjax.sweep import life, plan, points, record, space, storage, table, worker
from cnnjax.train.stop import Stopped
from cnnjax.workdir import fitness
from tests import tiny

RATES = "optimizer.learning_rate=log(1e-4,1e-1)"


def sweep(text=RATES, config=None, **options):
    base = configuration.check(tiny.config(epochs=9.0, **(config or {})))
    return record.Sweep(base, points.check_space(space.read(text), base), **options)


def figure(config):
    """The best learning rate is 1e-2, whatever else."""
    return 1 - abs(np.log10(config["optimizer"]["learning_rate"]) + 2) / 4


def toy(config, workdir, judge):
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / "metrics.jsonl").open("w") as file:
        for epoch in range(1, 10):
            figures = {"accuracy": figure(config) * epoch / 9, "loss": 1.0}
            file.write(json.dumps({"step": 6 * epoch, "split": "validation", **figures}) + "\n")
            file.flush()
            judge(6 * epoch, figures)
    return {"params_sha256": f"{config['seed']}", "step": 54, "tested_step": 54}


def size(config):
    return 54, 6.0


def swept(folder, what, trials, run=toy, size=size):
    made, kept = worker.begin(folder, what)
    worker.work(folder, made, kept, trials, run=run, size=size)
    return table.write(folder, made, kept)


def test_a_sweep_and_what_it_leaves(tmp_path):
    found = swept(tmp_path, sweep(seeds=3), 4)
    assert [r["number"] for r in found] == [0, 1, 2, 3]
    assert {r["state"] for r in found} == {"done"}
    assert [r["seeds"] for r in found] == [[3, 4, 5]] * 4
    assert found[0]["params_sha256"] == ["3", "4", "5"]
    for row in found:
        rate = row["values"]["optimizer.learning_rate"]
        assert row["value"] == pytest.approx(figure({"optimizer": {"learning_rate": rate}}))
        assert [point[0] for point in row["curve"]] == list(range(1, 10))
        assert (tmp_path / "trials" / str(row["number"]) / "seed_4" / "metrics.jsonl").exists()
    lines = (tmp_path / "trials.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == found


def test_the_same_command_goes_on_and_takes_more_trials(tmp_path):
    first = swept(tmp_path / "a", sweep(), 3)
    assert swept(tmp_path / "a", sweep(), 3) == first
    more = swept(tmp_path / "a", sweep(), 6)
    assert more[:3] == first and len(more) == 6
    at_once = swept(tmp_path / "b", sweep(), 6)
    assert [r["values"] for r in at_once] == [r["values"] for r in more]


def test_a_killed_trial_is_gone_on_with_once(tmp_path):
    what, kept = worker.begin(tmp_path, sweep())
    lost = plan.take(tmp_path, what, kept, 3)
    lost.claim.close()  # as the system does when a process dies
    left = plan.take(tmp_path, what, kept, 3)
    assert left.number == lost.number and left.point == lost.point
    other = plan.take(tmp_path, what, kept, 3)
    assert other.number == 1
    other.claim.close(), left.claim.close()
    begun = []

    def run(config, workdir, judge):
        begun.append(workdir.name)
        return toy(config, workdir, judge)

    found = swept(tmp_path, sweep(), 3, run)
    assert sorted(begun) == ["0", "1", "2"] and {r["state"] for r in found} == {"done"}


def test_a_stop_leaves_the_trial_for_the_next(tmp_path):
    def stops(config, workdir, judge):
        raise Stopped("asked")

    with pytest.raises(Stopped):
        swept(tmp_path, sweep(), 2, stops)
    found = swept(tmp_path, sweep(), 2)
    assert [r["state"] for r in found] == ["done", "done"] and found[0]["begun"] == 2


def test_a_stop_before_the_first_step_blames_no_point(tmp_path):
    def stops(config):
        try:
            signal.raise_signal(signal.SIGTERM)
        except Exception:
            raise ValueError("a library's words for it") from None

    def says_so(config):
        raise Stopped("asked")

    before = signal.signal(signal.SIGTERM, worker.leave)
    try:
        for asked, error in ((stops, SystemExit), (says_so, Stopped)):
            with pytest.raises(error):
                swept(tmp_path, sweep(), 1, size=asked)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert swept(tmp_path, sweep(), 1)[0]["state"] == "done"


def test_a_trial_that_kills_its_workers_is_given_up(tmp_path):
    def dies(config, workdir, judge):
        raise KeyboardInterrupt

    what, kept = worker.begin(tmp_path, sweep())
    for _ in range(9):
        with pytest.raises(KeyboardInterrupt):
            worker.work(tmp_path, what, kept, 1, run=dies, size=size)
    worker.work(tmp_path, what, kept, 1, run=dies, size=size)
    (row,) = table.rows(what, kept)
    assert row["state"] == "failed" and "9 workers in a row died" in row["reason"]


def test_an_exact_repeat_is_answered_from_the_first(tmp_path):
    first = swept(tmp_path, sweep(), 1)[0]
    what, kept = worker.begin(tmp_path, sweep())
    study = storage.study(what, kept)
    plan.add(study, what.space.stored(first["values"]), plan.distributions(what.space))

    def never(config, workdir, judge):
        raise AssertionError("run again")

    worker.work(tmp_path, what, kept, 1, run=never, size=size)
    again = table.rows(what, kept)[1]
    assert again["repeats"] == 0 and again["value"] == first["value"]
    assert again["params_sha256"] == first["params_sha256"] and again["state"] == "done"


def test_failures_are_results(tmp_path):
    def run(config, workdir, judge):
        if config["model"]["kernel"] == 1:
            raise Failure("the loss is not a number")
        if config["model"]["kernel"] == 2:
            return toy({**config, "optimizer": {"learning_rate": np.nan}}, workdir, judge)
        if config["model"]["kernel"] == 3:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return toy(config, workdir, judge)

    def fits(config):
        if config["model"]["kernel"] > 4:
            raise InputError("too large")
        return size(config)

    found = swept(tmp_path, sweep("model.kernel=1|2|3|4|5", sampler="grid"), 9, run, fits)
    assert [r["state"] for r in found] == ["failed", "failed", "failed", "done", "infeasible"]
    assert [r.get("reason") for r in found] == [
        "the loss is not a number",
        "accuracy of seed 3 is no number",
        "RuntimeError: RESOURCE_EXHAUSTED: Out of memory",
        None,
        "too large",
    ]


def test_the_machines_faults_and_our_own_mistakes_end_the_worker(tmp_path):
    def full(config, workdir, judge):
        raise Failure("no space") from OSError(28, "No space left on device")

    def broken(config, workdir, judge):
        raise ZeroDivisionError

    def unread(config, workdir, judge):
        raise fitness.Unreadable("an I/O error")

    cases = ((full, Failure), (broken, ZeroDivisionError), (unread, fitness.Unreadable))
    for run, error in cases:
        with pytest.raises(error):
            swept(tmp_path, sweep(), 1, run)
    assert swept(tmp_path, sweep(), 1)[0]["state"] == "done"


def test_infeasible_points_do_not_count(tmp_path):
    def fits(config):
        if config["model"]["kernel"] % 2:
            raise InputError("odd")
        return size(config)

    found = swept(tmp_path, sweep("model.kernel=int(1,8)", sampler="grid"), 3, size=fits)
    states = [r["state"] for r in found]
    assert states == ["infeasible", "done"] * 3
    with pytest.raises(Failure, match="cannot exist or had been tried"):
        swept(tmp_path / "none", sweep(), 3, size=lambda config: 1 / 0)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"sampler": "tpo"}, "unknown sampler 'tpo'"),
        ({"pruner": "asho"}, "unknown pruner 'asho'"),
        ({"metric": "acuracy"}, "validations have no 'acuracy'; did you mean accuracy?"),
        ({"sampler": "grid"}, "how many values of optimizer.learning_rate"),
        ({"config": {"data__validation": 0.0}}, "data.validation is 0"),
        ({"text": "seed=1|2", "seeds": 2}, "the space has the seed"),
        ({"pruner": "asha", "config": {"evaluate__every_epochs": 0.0}}, "evaluate.every_epochs"),
        ({"storage": "sqlite:///x.db"}, "SQLite locks up"),
        ({"storage": "nosuch://x"}, "cannot be used"),
    ],
)
def test_a_sweep_that_contradicts_itself_is_refused(tmp_path, what, words):
    with pytest.raises(InputError) as refused:
        worker.begin(tmp_path, sweep(**what))
    assert words in str(refused.value)
    assert not (tmp_path / "sweep.json").exists()


def test_a_torn_line_of_the_journal_is_cut_off(tmp_path):
    first = swept(tmp_path, sweep(), 2)
    with (tmp_path / record.JOURNAL).open("a") as file:
        file.write('{"op_code": 4, "half')
    found = swept(tmp_path, sweep(), 3)
    assert found[:2] == first and len(found) == 3


def test_a_password_is_not_written_down(tmp_path):
    what = sweep(storage="postgresql://me:secret@host:5432/trials")
    assert "secret" not in json.dumps(record.stored(what))
    assert "me@host:5432/trials" in json.dumps(record.stored(what))


def test_validations_are_numbered_by_what_they_follow():
    # 1,295 images in batches of 64, validated after each epoch and at the end of 4.3 epochs.
    interval = 1295 / 64
    steps = round(4.3 * interval)
    found = [life.validation_number(step, interval, steps) for step in (21, 41, 61, 81, steps)]
    assert found == [1, 2, 3, 4, 5]
    assert life.validation_number(81, interval, 81) == 4
    assert life.validation_number(7, 0.0, 7) == 1 and life.validation_number(3, 9.0, 3) == 1
