"""What a config is built into, before the first step."""

import pytest

from cnnjax import config as configuration
from cnnjax.evaluation.trained import load_data
from cnnjax.train.experiment import check_parts, prepare
from tests import tiny


@pytest.mark.parametrize("name", ["constant", "cosine", "step", "one_cycle"])
def test_a_warm_up_longer_than_the_run_is_cut_to_it(name, capsys):
    def shares(epochs, warmup):
        values = {"epochs": epochs, "schedule__name": name, "schedule__warmup_epochs": warmup}
        config = configuration.check(tiny.config(**values))
        dataset = load_data(config)
        found = prepare(config, dataset, check_parts(config))
        return [float(found.share(step)) for step in range(found.steps)]

    # 48 images in batches of 8: half an epoch is 3 steps.
    exact = shares(0.5, 0.5)
    assert len(exact) == 3 and capsys.readouterr().out == ""
    assert shares(0.5, 4.0) == exact
    said = "schedule.warmup_epochs=4 is longer than the run of 0.5 epochs"
    assert said in capsys.readouterr().out
    if name != "one_cycle":
        assert exact == pytest.approx([1 / 3, 2 / 3, 1])
