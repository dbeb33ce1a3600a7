"""Mapping a step over devices: placement, refusals, and what the checker proves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnjax import parallel
from cnnjax.errors import InputError
from cnnjax.layers import BatchNorm

AXIS = parallel.AXIS


def centre(scale, batch):
    """The mean of the whole batch, and that of the positions of the devices."""
    mean = lax.pmean(batch["x"].mean(0), AXIS) * scale
    return mean, lax.pmean(lax.axis_index(AXIS).astype(jnp.float32), AXIS)


@pytest.mark.parametrize(("kind", "devices"), [("jit", 1), ("pmap", 1), ("jit", 4), ("pmap", 8)])
def test_a_step_sees_the_whole_batch_through_its_axis(kind, devices):
    mapper = parallel.mapper(kind, devices)
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    mapped = mapper.map(centre, split=(False, True))
    mean, position = mapped(mapper.replicate(jnp.float32(2)), mapper.split({"x": x}))
    np.testing.assert_allclose(mean, 2 * x.mean(0), rtol=1e-5)
    assert float(position) == (devices - 1) / 2
    assert mean.sharding.is_fully_replicated and len(mean.sharding.device_set) == devices


def test_every_device_gets_its_part_in_order_and_a_copy_of_the_rest():
    x = np.arange(24).reshape(12, 2)
    for kind in ("pmap", "jit"):
        mapper = parallel.mapper(kind, 4)
        for i, shard in enumerate(mapper.split({"x": x})["x"].addressable_shards):
            assert shard.device == jax.local_devices()[i]
            np.testing.assert_array_equal(
                np.asarray(shard.data).reshape(3, 2), x[3 * i : 3 * i + 3]
            )
        for shard in mapper.replicate({"x": x})["x"].addressable_shards:
            np.testing.assert_array_equal(shard.data, x)


def test_donated_arguments_give_their_memory_away():
    for kind in ("pmap", "jit"):
        mapper = parallel.mapper(kind, 2)
        given, kept = mapper.replicate((jnp.ones(5), jnp.ones(5)))
        mapped = mapper.map(lambda a, b, _: (a + b, a - b), (False, False, True), donate=(0,))
        jax.block_until_ready(mapped(given, kept, mapper.split(np.ones(2))))
        assert given.is_deleted() and not kept.is_deleted()


def test_pmap_is_chosen_for_several_devices_and_jit_for_one():
    assert parallel.mapper().kind == "pmap" and parallel.mapper().devices == 8
    assert parallel.mapper(devices=1).kind == "jit"
    assert parallel.mapper("jit", 3).kind == "jit" and parallel.mapper("jit", 3).devices == 3


def test_fake_devices_wait_for_each_other():
    assert parallel.mapper(devices=2).waits and not parallel.mapper(devices=1).waits


def test_more_devices_than_exist_are_refused():
    with pytest.raises(InputError, match="9 devices were asked for, 8 exist"):
        parallel.mapper(devices=9)


@pytest.mark.parametrize(("size", "allowed"), [(30, "28 or 32"), (3, "4"), (4, None), (32, None)])
def test_a_batch_that_does_not_divide_is_refused_with_both_numbers(size, allowed):
    mapper = parallel.mapper(devices=4)
    if allowed is None:
        mapper.check_batch("batch_size", size)
        return
    with pytest.raises(
        InputError, match=f"batch_size {size} does not divide by 4 .* use {allowed}$"
    ):
        mapper.check_batch("batch_size", size)


def test_the_checker_refuses_a_result_that_differs_between_devices():
    mapper = parallel.mapper("jit", 4)
    batch = mapper.split({"x": np.ones((8, 2), np.float32)})

    def forgotten(batch):
        return batch["x"].mean(0)

    mapper.map(forgotten, split=(True,))(batch)
    with pytest.raises(ValueError, match="replicated"):
        mapper.map(forgotten, split=(True,), check=True)(batch)


@pytest.mark.parametrize("synced", [True, False])
def test_the_checker_knows_statistics_of_one_device_from_those_of_the_batch(synced):
    mapper = parallel.mapper("jit", 4)
    layer = BatchNorm(train=True, axis_name=AXIS if synced else None)

    def statistics(variables, batch):
        return layer.apply(variables, batch["x"], mutable=["batch_stats"])[1]

    x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    variables = mapper.replicate(layer.init(jax.random.key(0), x))
    mapped = mapper.map(statistics, split=(False, True), check=True)
    if not synced:
        with pytest.raises(ValueError, match="replicated"):
            mapped(variables, mapper.split({"x": x}))
        return
    found = mapped(variables, mapper.split({"x": x}))["batch_stats"]
    np.testing.assert_allclose(found["mean"], 0.1 * x.mean(0), atol=1e-6)
    np.testing.assert_allclose(found["var"], 0.9 + 0.1 * x.var(0), rtol=1e-5)


def test_a_gradient_is_each_devices_own_only_where_parameters_are_marked():
    mapper = parallel.mapper("jit", 4)
    x = np.random.default_rng(0).normal(size=(8,)).astype(np.float32)

    def gradient(marked, w, batch):
        w = parallel.vary(w, AXIS) if marked else w
        return lax.pmean(jax.grad(lambda w: (w * batch).mean())(w), AXIS)

    for check, marked, factor in ((True, True, 1), (False, True, 1), (True, False, 4)):
        mapped = mapper.map(
            lambda w, batch, marked=marked: gradient(marked, w, batch), (False, True), check=check
        )
        found = mapped(mapper.replicate(jnp.float32(1)), mapper.split(x))
        assert float(found) == pytest.approx(factor * x.mean(), rel=1e-5)
