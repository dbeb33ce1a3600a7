"""Early stopping: when it ends a run, and that a killed one ends where it would have."""

import pytest

from cnnjax.errors import InputError
from cnnjax.train import course, early, run, stop
from cnnjax.workdir import files
from tests import tiny

NAN = float("nan")
# Without learning, no validation is better than the first.
IDLE = {"optimizer__learning_rate": 0.0, "evaluate__patience": 2}


@pytest.mark.parametrize(
    ("scores", "ends"),
    [
        ([], [False]),
        ([1.0, 2.0, 3.0, 4.0], [False] * 3),
        ([3.0, 2.0, 1.0], [True, True, False]),
        # As good as before is no better.
        ([1.0, 1.0], [True, False, False]),
        ([1.0, 0.0, 2.0, 1.5], [True, False, False]),
        ([-float("inf"), -float("inf"), -float("inf")], [True, True, False]),
    ],
)
def test_patience_counts_validations_since_the_best(scores, ends):
    assert [early.exhausted(scores, patience) for patience in (1, 2, 3)[: len(ends)]] == ends
    assert not early.exhausted(scores, 0)


@pytest.mark.usefixtures("quick_compilation")
def test_a_run_that_learns_nothing_ends_early(tmp_path, capsys):
    result = run.run(tiny.config(**IDLE), tmp_path)
    # Six steps an epoch: the first validation, and two that are no better.
    assert result["step"] == 18 and result["test_examples"] == 12
    assert "The last 2 validations were no better: the run ends here." in capsys.readouterr().out
    assert len(files.validations(tmp_path)) == 3
    assert run.run(tiny.config(**IDLE), tmp_path) == result


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("step", [9, 18])
def test_a_run_that_was_stopped_ends_early_where_it_would_have(tmp_path, monkeypatch, step):
    original = course.train

    def interrupted(experiment, state, workdir, checkpoints, clock, asked, judge):
        seen = iter(range(int(state.step), 99))
        heard = lambda: next(seen) >= step  # noqa: E731 - asked once before each step
        return original(experiment, state, workdir, checkpoints, clock, heard, judge)

    with monkeypatch.context() as patch:
        patch.setattr(course, "train", interrupted)
        if step == 9:
            with pytest.raises(stop.Stopped):
                run.run(tiny.config(**IDLE), tmp_path)
        else:  # asked and over at once: a killed process leaves as much before its result
            run.run(tiny.config(**IDLE), tmp_path)
            (tmp_path / files.RESULT).unlink()
    assert run.run(tiny.config(**IDLE), tmp_path)["step"] == 18


@pytest.mark.parametrize(
    ("field", "value"),
    [("data__validation", 0.0), ("evaluate__every_epochs", 0.0), ("unfreeze__after_epochs", 1.0)],
)
def test_patience_that_has_no_meaning_is_refused(tmp_path, field, value):
    with pytest.raises(InputError, match="evaluate.patience"):
        run.run(tiny.config(**IDLE, **{field: value}), tmp_path)
