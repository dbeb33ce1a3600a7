"""Copies that should be equal on every device: any difference is found and named."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import data, parallel
from cnnjax.parallel import replicas
from cnnjax.train import feed, run
from cnnjax.workdir import checkpoint
from tests import tiny


def with_one_copy_changed(mapper, array, device, change):
    """Returns a "replicated" array whose copy on one device is not that of the others."""
    copies = [
        jax.device_put(change(array.copy()) if i == device else array, where)
        for i, where in enumerate(mapper.mesh.devices.flat)
    ]
    return jax.make_array_from_single_device_arrays(array.shape, mapper.replicated, copies)


def flip_a_bit(array):
    array.reshape(-1)[-1:].view(np.uint8)[0] ^= 1
    return array


def swap_two(array):
    array.reshape(-1)[[0, 1]] = array.reshape(-1)[[1, 0]]
    return array


@pytest.mark.parametrize("change", [flip_a_bit, swap_two])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8, jnp.bfloat16])
def test_a_copy_that_differs_is_named(change, dtype):
    mapper = parallel.mapper("pmap", 4)
    array = np.arange(6).reshape(2, 3).astype(dtype)
    check = replicas.checker(mapper)
    check({"a": mapper.replicate(array), "b": mapper.replicate(array)})
    bad = with_one_copy_changed(mapper, array, 2, change)
    with pytest.raises(replicas.Diverged, match=r"\['b'\] on .*2 is not what it is on .*0"):
        check({"a": mapper.replicate(array), "b": bad})


def test_a_run_whose_copies_differ_ends_without_saving_them(tmp_path, monkeypatch):
    original = parallel.Mapper.map

    def forgetful(self, step, split, donate=(), check=False):
        def local(state, batch, hyper):
            state, metrics = step(state, batch, hyper)
            index = jax.lax.axis_index(parallel.AXIS).astype(jnp.float32)
            noise = jnp.where(state.step > 8, 1e-6 * index, 0)
            params = jax.tree.map(lambda x: x + noise, state.params)
            return state.replace(params=params), metrics

        return original(self, local if donate else step, split, donate, check)

    monkeypatch.setattr(parallel.Mapper, "map", forgetful)
    with pytest.raises(replicas.Diverged, match="nothing was saved since"):
        run.run(tiny.config(parallel__devices=4), tmp_path)
    assert checkpoint.steps(tmp_path) == [6]


def test_a_single_device_has_nothing_to_compare(monkeypatch):
    monkeypatch.setattr(parallel.Mapper, "map", None)
    replicas.checker(parallel.mapper("jit", 1))({"a": np.ones(3)})


def test_rows_of_the_processes_make_up_the_batch(monkeypatch):
    split = data.load("synthetic", examples=40, size=10).train
    whole = data.batch_indices(len(split), 1, 3, 16)
    mapper = parallel.mapper(devices=8)
    parts = []
    for process in range(4):
        monkeypatch.setattr(parallel.hosts, "index", lambda process=process: process)
        monkeypatch.setattr(parallel.Mapper, "local", 2)
        rows = mapper.part(16)
        assert rows.stop - rows.start == 4
        seen = []
        monkeypatch.setattr(parallel.Mapper, "split", lambda self, batch, to=seen: to.append(batch))
        places = partial(feed.places_of, len(split), 1, 16, rows, data.order)
        feed.Feed(split, mapper, (), 1, places).batches(3, 1)
        parts.append(seen[0]["image"][:, 0])
    np.testing.assert_array_equal(np.concatenate(parts), split.images[whole])
