"""Images on disk with the face of an array, streamed or kept in a cache."""

import zipfile
from functools import partial
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from cnnjax import caches, data, images
from cnnjax.data import files
from cnnjax.data.balance import Balanced
from cnnjax.data.cache import KEPT, cached, ours
from cnnjax.data.dataset import batch_indices
from cnnjax.errors import InputError

RECORD = images.Preprocessing((12, 10), resize="crop")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    generator = np.random.default_rng(0)
    for i in range(30):
        shape = (*generator.integers(12, 40, 2), 3)
        pixels = generator.integers(0, 256, shape, np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    return tuple(sorted(folder.iterdir()))


@pytest.fixture(scope="module")
def decoded(paths):
    return np.stack([images.load(path, RECORD) for path in paths])


def test_files_are_taken_like_an_array(paths, decoded):
    lazy = files.Files(paths, RECORD)
    assert (lazy.shape, lazy.dtype, lazy.nbytes) == (decoded.shape, decoded.dtype, decoded.nbytes)
    assert len(lazy) == len(decoded)
    for places in (slice(3, 9), np.array([4, 4, 0]), np.arange(12).reshape(4, 3), [29], slice(0)):
        np.testing.assert_array_equal(lazy[places], decoded[places])
    np.testing.assert_array_equal(np.asarray(lazy), decoded)
    some = lazy.take(np.array([7, 2]))
    assert some.files == (paths[7], paths[2])


def test_all_can_be_decoded_at_once_and_what_is_broken_is_named(paths, decoded, tmp_path):
    torn = tmp_path / "torn.png"
    torn.write_bytes(paths[0].read_bytes()[:99])
    both = (paths[0], torn, paths[1], tmp_path / "gone.png")
    pixels, bad = files.decoded(both, RECORD, "")
    np.testing.assert_array_equal(pixels, decoded[:2])
    assert list(bad) == [1, 3] and "torn.png is not an image" in bad[1]
    assert files.broken(both, RECORD, "") == bad


@pytest.mark.parametrize("processes", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_stream_gives_the_batches_of_the_array_from_any_step_on(paths, decoded, processes):
    places = partial(batch_indices, len(paths), 5, batch_size=8)
    lazy = files.Files(paths, RECORD)
    for start in (0, 6):
        batches = files.stream(lazy, places, start, processes)
        for step, batch in enumerate(islice(batches, 9), start):
            np.testing.assert_array_equal(batch, decoded[places(step)])
        batches.close()


def test_a_broken_image_in_a_stream_is_named(paths, tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    lazy = files.Files((*paths, tmp_path / "torn.png"), RECORD)
    batches = files.stream(lazy, lambda step: np.array([step, 30 if step == 2 else 0]), 0)
    with pytest.raises(InputError, match=r"torn\.png is not an image"):
        list(islice(batches, 4))


def test_a_digest_tells_files_that_changed(paths, tmp_path):
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_bytes(b"a")
    two.write_bytes(b"b")
    before = files.digest((one, two), 1)
    assert files.digest((one, two), 1) == before
    assert files.digest((two, one), 1) != before and files.digest((one, two), 2) != before
    one.write_bytes(b"aa")
    assert files.digest((one, two), 1) != before


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path / "cache"))
    return caches.folder() / "datasets"


def test_a_cache_is_read_and_made_anew_when_it_is_damaged(cache):
    read = []

    def make():
        read.append(1)
        return {"images": np.arange(5000).reshape(50, 100)}

    def ask():
        np.testing.assert_array_equal(
            cached("set-train", "0" * 64, make)["images"], make()["images"]
        )
        read.pop()

    ask()
    ask()
    assert len(read) == 1
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    for damaged in (b"", whole[:10], whole[: len(whole) // 2], whole[:-1], bytes(changed), b"PK"):
        file.write_bytes(damaged)
        ask()
        assert read.pop() and zipfile.is_zipfile(file)
        ask()
    assert len(read) == 1 and list(cache.iterdir()) == [file]


def test_a_cache_keeps_a_few_files_of_a_set_and_leaves_those_of_others(cache):
    for name in ("set", "set-train"):
        for i in range(5):
            cached(name, f"{i:016}", lambda: {"x": np.zeros(1)})
    assert len(ours(cache, "set")) == len(ours(cache, "set-train")) == 3


def test_without_a_place_to_write_all_is_read_every_time(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE", "/proc/none")
    assert cached("set", "0" * 64, lambda: {"x": np.ones(2)})["x"].sum() == 2


def test_a_balanced_epoch_has_as_many_of_each_class():
    labels = np.repeat([0, 1, 2], [100, 10, 3]).astype(np.int32)
    order = Balanced(labels)
    for epoch in range(4):
        counts = np.bincount(labels[order(113, 0, epoch)])
        assert counts.sum() == 113 and counts.max() - counts.min() <= 1
    seen = {int(i) for epoch in range(9) for i in order(113, 0, epoch)}
    assert seen == set(range(113))
    np.testing.assert_array_equal(order(113, 3, 5), Balanced(labels.copy())(113, 3, 5))
    assert not np.array_equal(order(113, 3, 5), order(113, 3, 6))
    few = order(113, 0, 0)
    assert np.bincount(few[few >= 110]).max() - np.bincount(few[few >= 110])[110:].min() <= 1


def test_a_balanced_batch_is_a_function_of_seed_and_step():
    order = Balanced(np.repeat([0, 1], [90, 10]).astype(np.int32))
    forwards = [data.batch_indices(100, 1, s, 16, order) for s in range(20)]
    backwards = [data.batch_indices(100, 1, s, 16, order) for s in reversed(range(20))]
    np.testing.assert_array_equal(forwards, backwards[::-1])


def test_what_was_measured_of_a_folder_that_changes_is_kept_for_a_few(paths, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path))
    for count in range(6):
        files.counts(files.Files(paths[: 2 + count], RECORD))
    assert len(list((tmp_path / "datasets").glob("folder-counts-*.npz"))) == KEPT
