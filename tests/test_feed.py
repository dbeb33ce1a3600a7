"""Where the images lie and how many steps one call takes changes no number."""

import types

import jax
import numpy as np
import pytest

from cnnjax import data, parallel
from cnnjax.errors import InputError
from cnnjax.train import feed, run
from cnnjax.train.stop import Stopped
from tests import tiny

EVERY = {"report__every_steps": 4, "checkpoint__every_epochs": 1.0}


def supply(mapper, **changes):
    config = tiny.config(**changes)
    split = data.load("synthetic", examples=48, size=10, validation=0.0).train
    return feed.feed(config.to_dict(), split, mapper), split


@pytest.mark.parametrize(("kind", "devices"), [("jit", 1), ("pmap", 4), ("jit", 4)])
@pytest.mark.parametrize("resident", ["yes", "no"])
def test_the_devices_get_the_batches_of_their_steps(kind, devices, resident):
    mapper = parallel.mapper(kind, devices)
    found, split = supply(mapper, data__resident=resident, seed=5)
    assert bool(found.resident) == (resident == "yes")

    def images(batches, *resident):
        one = feed.chosen({name: x[:, 1] for name, x in batches.items()}, *resident)
        return tuple(jax.lax.all_gather(x, parallel.AXIS, tiled=True) for x in one.values())

    mapped = mapper.map(images, split=(True, *(False for _ in found.resident)))
    got = mapped(found.batches(7, 3), *found.resident)
    expected = data.batch(split, 5, 8, 8)
    for array, name in zip(got, ("image", "label"), strict=True):
        np.testing.assert_array_equal(array, expected[name])


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("one by one")
    return run.run(tiny.config(**EVERY), workdir), tiny.metrics(workdir)


@pytest.mark.parametrize(("devices", "count"), [(1, 1), (1, 3), (4, 5)])
def test_several_steps_at_a_call_are_the_same_steps(devices, count, one_by_one, tmp_path):
    changes = {"data__resident": "yes", "parallel__steps_per_call": count}
    config = tiny.config(**EVERY, **changes, parallel__devices=devices)
    result, metrics = run.run(config, tmp_path), tiny.metrics(tmp_path)
    expected, reports = one_by_one
    assert [(m["step"], m["split"]) for m in metrics] == [(m["step"], m["split"]) for m in reports]
    for found, wanted in zip(metrics, reports, strict=True):
        assert found.pop("split") == wanted["split"]
        numbers = {name: value for name, value in wanted.items() if name != "split"}
        assert found == pytest.approx(numbers, rel=1e-4)
    assert result["test_loss"] == pytest.approx(expected["test_loss"], rel=1e-5)
    if (devices, count) == (1, 1):
        assert result["params_sha256"] == expected["params_sha256"]


def test_a_run_of_several_steps_at_a_call_resumes_to_the_bit(tmp_path, monkeypatch):
    changes = {"data__resident": "yes", "parallel__steps_per_call": 3, **EVERY}
    expected = run.run(tiny.config(**changes), tmp_path / "whole")
    looks = iter(range(100))

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(run.stop, "requests", lambda: tiny.asked(lambda: next(looks) == 5))
        run.run(tiny.config(**changes), tmp_path / "stopped")
    found = run.run(tiny.config(**changes), tmp_path / "stopped")
    assert {**found, "seconds": 0, "programs": 0} == {**expected, "seconds": 0, "programs": 0}


def test_a_split_is_resident_where_it_fits(monkeypatch):
    mapper = parallel.mapper("jit", 1)
    assert not supply(mapper)[0].resident and supply(mapper)[0].steps == 1
    monkeypatch.setattr(parallel.Mapper, "platform", "gpu")
    for limit, lies_there in ((4 * 4992, True), (4 * 4992 - 4, False)):
        device = types.SimpleNamespace(memory_stats=lambda limit=limit: {"bytes_limit": limit})
        mesh = types.SimpleNamespace(local_devices=[device])
        split = data.load("synthetic", examples=48, size=10, validation=0.0).train
        assert split.images.nbytes + split.targets["label"].nbytes == 4992
        assert feed.fits(split, types.SimpleNamespace(mesh=mesh)) is lies_there
    monkeypatch.setattr(feed, "fits", lambda *_: True)
    assert supply(mapper)[0].steps == feed.STEPS


def test_several_steps_at_a_call_need_the_data_on_the_devices():
    with pytest.raises(InputError, match="steps_per_call=4 needs the data on the devices"):
        supply(parallel.mapper("jit", 1), parallel__steps_per_call=4)
