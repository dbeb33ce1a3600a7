"""Runs of one process that differ in values alone share programs, and end as if they did not."""

import jax
import pytest

from cnnjax import config as configuration
from cnnjax.evaluation.trained import load_data
from cnnjax.sweep import points, record, space, worker
from cnnjax.train import programs, run
from cnnjax.train.experiment import check_parts, prepare
from cnnjax.workdir import files
from tests import tiny

NETWORK = {
    "epochs": 1.0, "augment": "rotate(10)|shift(0.1)", "label_smoothing": 0.1,
    "model__name": "mnist_cnn", "model__features": None, "model__kernel": 3,
    "model__dropout_rate": 0.2, "model__dense_dropout_rate": 0.3, "optimizer__weight_decay": 0.01,
    "data__normalize": "unit",
}  # fmt: skip
TRACED = {
    "optimizer__learning_rate": 0.02,
    "optimizer__weight_decay": 0.1,
    "label_smoothing": 0.0,
    "model__dropout_rate": 0.4,
    "augment": "rotate(20)|shift(0.2)",
    "seed": 11,
}
STATIC = {
    "epochs": 2.0, "batch_size": 4, "augment": "rotate(10, reflect)|shift(0.1)",
    "model__kernel": 1, "model__dropout_rate": 0.0, "optimizer__weight_decay": 0.0,
    "optimizer__name": "rmsprop", "optimizer__clip_norm": 1.0, "optimizer__accumulate": 2,
    "schedule__name": "cosine", "schedule__warmup_epochs": 0.5, "nonfinite__patience": 3,
    "evaluate__batch_size": 10, "data__size": 12, "data__normalize": "standard",
    "parallel__devices": 2, "model__dtype": "bfloat16",
}  # fmt: skip


@pytest.fixture(autouse=True)
def sharing():
    with programs.shared():
        yield


def config(**changes):
    made = tiny.config(**NETWORK | changes)
    del made.model.features
    made.model.blocks, made.model.units = ((2,),), (4,)
    return configuration.check(made)


def key(**changes):
    one = config(**changes)
    dataset = load_data(one)
    return prepare(one, dataset, check_parts(one)).programs


def test_what_else_a_program_depends_on_keeps_it_apart():
    base = key()
    for name, value in TRACED.items():
        assert key(**{name: value}) is base, name
    for name, value in STATIC.items():
        # Of the two at hand: base may have made room for the others.
        assert key(**{name: value}) is not key(), name
    assert key(report__every_steps=7, checkpoint__keep=1) is key()


def test_nobody_shares_unasked():
    token = programs.SHARING.set(False)
    assert key() is not key()
    programs.SHARING.reset(token)


def test_the_statistics_of_a_split_are_part_of_its_programs():
    kept = [key(data__normalize="standard", seed=seed) for seed in (3, 4, 3)]
    assert kept[0] is kept[2] and kept[0] is not kept[1]


@pytest.mark.usefixtures("quick_compilation")
def test_a_run_with_other_values_compiles_nothing_and_ends_the_same(tmp_path):
    run.run(config(), tmp_path / "first")
    for name, value in TRACED.items():
        shared = run.run(config(**{name: value}), tmp_path / f"{name}-shared")
        assert shared["programs"] == {"found": 0, "compiled": 0}, name
    for name in ("optimizer__learning_rate", "augment"):
        programs.kept.cache_clear()
        shared = files.read_json(tmp_path / f"{name}-shared" / "result.json")
        alone = run.run(config(**{name: TRACED[name]}), tmp_path / f"{name}-alone")
        assert alone["programs"]["found"] + alone["programs"]["compiled"] > 0
        assert shared["params_sha256"] == alone["params_sha256"], name
        assert shared["test_loss"] == alone["test_loss"]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_a_sweep_of_32_points_compiles_once(tmp_path):
    jax.clear_caches()
    programs.kept.cache_clear()
    base = config(epochs=0.5)
    text = (
        "optimizer.learning_rate=log(1e-4,1e-1) label_smoothing=uniform(0,0.2) "
        "model.dropout_rate=uniform(0.1,0.5) augment.rotate.degrees=uniform(1,30) seed=int(0,99)"
    )
    what = record.Sweep(base, points.check_space(space.read(text), base), sampler="random")
    made, kept = worker.begin(tmp_path, what)
    worker.work(tmp_path, made, kept, 32)
    counts = [files.read_json(path)["programs"] for path in tmp_path.glob("trials/*/result.json")]
    asked = sorted(count["found"] + count["compiled"] for count in counts)
    assert len(asked) == 32 and asked[:-1] == [0] * 31 and asked[-1] > 0
