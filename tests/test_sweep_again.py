"""What a command makes of a folder that has a sweep already."""

import pytest

from cnnjax.errors import InputError
from cnnjax.sweep import locks, record, worker
from tests.test_sweep import RATES, sweep, swept


def test_another_sweep_in_the_folder_is_refused_with_what_differs(tmp_path):
    swept(tmp_path, sweep(), 1)
    for other, words in (
        (sweep(config={"batch_size": 16}), "batch_size: 8, now 16"),
        (sweep(seeds=2), "seeds: 1, now 2"),
        (sweep("optimizer.learning_rate=log(1e-5,1e-1)"), "learning_rate: log(1e-4,1e-1), now log"),
        (sweep(RATES + " model.kernel=1|2"), "model.kernel: not varied, now 1|2"),
    ):
        with pytest.raises(InputError) as refused:
            worker.begin(tmp_path, other)
        assert words in str(refused.value)
    with pytest.raises(InputError, match="is not the folder of a sweep"):
        record.load(tmp_path / "trials")


def test_the_number_of_trials_stays_unless_another_is_given(tmp_path):
    def begun(text, folder="a", **options):
        return worker.begin(tmp_path / folder, sweep(text, **options), widen=True)[0].trials

    assert [begun(RATES, trials=n) for n in (0, 50, 0, 30, 0)] == [20, 50, 50, 30, 30]
    few, more = "model.kernel=1|2", "model.kernel=1|2|3"
    assert [begun(text, "b", sampler="grid") for text in (few, few, more)] == [2, 2, 3]


def test_what_may_change_between_runs_is_taken_from_the_last_command(tmp_path):
    changed = {"evaluate__batch_size": 7, "evaluate__every_epochs": 3.0, "nonfinite__patience": 5}
    for options in ({}, {"pruner": "asha"}, {"config": {"evaluate__select": "best"}}):
        folder = tmp_path / f"{len(str(options))}"
        config = options.pop("config", {})
        worker.begin(folder, sweep(config=config, **options))
        now = sweep(config=config | changed, **options)
        if options or config:
            with pytest.raises(InputError, match=r"\(evaluate.every_epochs: 1.0, now 3.0\)"):
                worker.begin(folder, now)
        else:
            assert worker.begin(folder, now)[0].config == now.config
            assert record.load(folder).config == now.config


def test_a_space_is_widened_on_request(tmp_path):
    text = "model.kernel=1|2 optimizer.learning_rate=log(1e-3,1e-2)"
    first = swept(tmp_path, sweep(text), 12)
    wider = sweep("model.kernel=1|2|3 optimizer.learning_rate=log(1e-4,1e-1)")
    with locks.shared(tmp_path / worker.ALIVE), pytest.raises(InputError, match="once they stop"):
        worker.begin(tmp_path, wider, widen=True)
    worker.begin(tmp_path, wider, widen=True)
    found = swept(tmp_path, wider, 40)
    assert found[:12] == first and len(found) == 40
    assert {r["values"]["model.kernel"] for r in found} == {1, 2, 3}
    narrower = sweep(text)
    with pytest.raises(InputError, match=r"model\.kernel: 1\|2\|3, now 1\|2"):
        worker.begin(tmp_path, narrower, widen=True)
