"""Runs that are trained side by side end as each of them alone."""

import jax
import numpy as np
import pytest

from cnnjax import config as configuration
from cnnjax.errors import InputError
from cnnjax.evaluation.trained import load_data
from cnnjax.train import course, members, programs, run
from cnnjax.train.experiment import check_parts, prepare
from cnnjax.workdir import checkpoint
from tests import tiny

RATES = (0.001, 0.01, 0.03)


def config(**changes):
    return configuration.check(tiny.config(epochs=1.0, label_smoothing=0.1, **changes))


def experiment(**changes):
    made = config(**changes)
    return prepare(made, load_data(made), check_parts(made))


@pytest.mark.usefixtures("quick_compilation")
def test_members_end_as_their_runs_alone(tmp_path):
    with programs.shared():
        made = experiment()
        hyper = [made.hyper | {"learning_rate": rate} for rate in RATES]
        ends = {}
        for together in (False, True):
            trained = members.members(made, len(RATES), together)
            states = members.starts(made, len(RATES))
            for step, steps in ((0, 2), (2, made.steps - 2)):
                states = trained.advance(states, step, steps, hyper)
            ends[together] = states
        for i, rate in enumerate(RATES):
            place = tmp_path / str(rate)
            run.run(config(optimizer__learning_rate=rate), place)
            template = course.initial(made).variables
            _, alone = checkpoint.read_variables(place, template)
            jax.tree.map(np.testing.assert_array_equal, ends[False][i].variables, alone)
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=0),
                ends[True][i].variables, alone,
            )  # fmt: skip
            assert int(ends[True][i].step) == made.steps


def test_a_probe_takes_the_faster_way(monkeypatch):
    for times, together in (((2.0, 1.0), True), ((1.0, 2.0), False)):
        left = list(times)
        monkeypatch.setattr(members, "seconds", lambda made, count, left=left: left.pop(0))
        monkeypatch.setattr(members, "in_turn", lambda *_: None)
        monkeypatch.setattr(members, "vectorized", lambda *_: None)
        assert members.members(experiment(), 2).together is together


def test_members_share_one_device():
    with pytest.raises(InputError, match=r"parallel\.devices=1"):
        members.members(experiment(parallel__devices=2), 2)
