"""Samplers and pruners on toy runs whose best point is known."""

import json

import numpy as np
import pytest

from cnnjax.sweep import table
from tests.test_sweep import RATES, figure, sweep, swept, toy


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "qmc"])
def test_no_point_is_tried_twice_and_a_finite_space_ends(tmp_path, sampler):
    text = "model.kernel=1|2|3 model.pool=max|average label_smoothing=uniform(0,0.1,2)"
    found = swept(tmp_path, sweep(text, sampler=sampler), 50)
    assert len(found) == 12
    assert len({str(r["values"]) for r in found}) == 12


def test_seeds_of_the_draw_differ(tmp_path):
    one, other = (swept(tmp_path / f"{i}", sweep(sampler="random", draw=i), 3) for i in (1, 2))
    assert [r["values"] for r in one] != [r["values"] for r in other]


def test_tpe_finds_the_optimum_and_random_search_does_not_know_it(tmp_path):
    (best,) = table.ranked(sweep(), swept(tmp_path, sweep(), 25))[:1]
    assert best["value"] > 0.97


def test_a_loss_is_minimised(tmp_path):
    def run(config, workdir, judge):
        result = toy(config, workdir, judge)
        line = {"step": 54, "split": "validation", "loss": 1 - figure(config)}
        (workdir / "metrics.jsonl").write_text(json.dumps(line))
        return result

    what = sweep(metric="loss")
    found = swept(tmp_path, what, 12, run)
    best = table.ranked(what, found)[0]
    assert best["value"] == min(row["value"] for row in found) < 0.1


@pytest.mark.parametrize("pruner", ["asha", "hyperband"])
def test_pruners_stop_what_is_worse_and_spare_the_best(tmp_path, pruner):
    found = swept(tmp_path, sweep(sampler="random", pruner=pruner), 24)
    done = [r for r in found if r["state"] == "done"]
    pruned = [r for r in found if r["state"] == "pruned"]
    assert len(done) + len(pruned) == 24 and len(pruned) >= 8
    true = {r["number"]: figure({"optimizer": {"learning_rate": r["values"][RATES[:23]]}})
            for r in found}  # fmt: skip
    assert max(true, key=true.get) in [r["number"] for r in done]
    assert all(len(r["curve"]) < 9 for r in pruned)


@pytest.mark.slow
def test_tpe_in_40_trials_is_as_good_as_random_search_in_80(tmp_path):
    """On a bowl around a known optimum in three fields, of five seeds each."""

    def bowl(config, workdir, judge):
        rate = np.log10(config["optimizer"]["learning_rate"]) + 2
        smoothing = config["label_smoothing"] / 0.2 - 0.3
        value = 1 - (rate / 4) ** 2 - smoothing**2 - 0.1 * (config["model"]["kernel"] != 3)
        workdir.mkdir(parents=True)
        line = {"step": 54, "split": "validation", "accuracy": value}
        (workdir / "metrics.jsonl").write_text(json.dumps(line))
        return {"tested_step": 54}

    text = RATES + " label_smoothing=uniform(0,0.2) model.kernel=1|2|3|4"
    best = {}
    for kind, trials in (("tpe", 40), ("random", 80)):
        for draw in range(5):
            what = sweep(text, sampler=kind, draw=draw)
            found = swept(tmp_path / f"{kind}{draw}", what, trials, bowl)
            best.setdefault(kind, []).append(table.ranked(what, found)[0]["value"])
    print(best)
    assert np.mean(best["tpe"]) >= np.mean(best["random"])
