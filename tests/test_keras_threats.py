"""Files made to harm: refused in a sentence, or read right; no other file is touched."""

import io
import json
import time
import zipfile

import h5py
import numpy as np
import pytest

from cnnjax import transfer, tree
from cnnjax.errors import InputError
from cnnjax.transfer import hdf5
from tests.test_keras_models import sequence, small, written

BOMB = b"bomb"


def archived(path, weights, config=None, **members):
    """Writes a .keras archive of an HDF5 file's bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(small()) if config is None else config)
        archive.writestr("model.weights.h5", weights)
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def modern(path):
    """Writes the arrays of `small` as Keras 3 does, and returns the bytes."""
    source = hdf5.read(written(path))
    with h5py.File(path, "w") as file:
        for group, name in (("conv2d", "first"), ("dense", "last")):
            for i, leaf in enumerate(("kernel", "bias")):
                file[f"layers/{group}/vars/{i}"] = source.arrays[f"{name}/{name}/{leaf}:0"]
    return path.read_bytes()


def replaced(path, harm):
    """Writes a file of Keras 2 in which `harm(group)` has put something in a data set's place."""
    written(path, small())
    with h5py.File(path, "a") as file:
        group = file["model_weights/first/first"]
        del group["kernel:0"]
        harm(group, path.parent)
    return path


def virtual(group, folder):
    layout = h5py.VirtualLayout((3, 3, 1, 4), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "x", (3, 3, 1, 4))
    group.create_virtual_dataset("kernel:0", layout)


def external(group, folder):
    where = [(str(folder / "secret.h5"), 0, 144)]
    group.create_dataset("kernel:0", (3, 3, 1, 4), "f4", external=where)


def soft(group, folder):
    group["kernel:0"] = h5py.SoftLink("/model_weights/last/last/kernel:0")


def link(group, folder):
    group["kernel:0"] = h5py.ExternalLink(str(folder / "secret.h5"), "x")


def loop(group, folder):
    group["again"] = group


def objects(group, folder):
    group.create_dataset("kernel:0", data=["a", "b"], dtype=h5py.string_dtype())


def bomb(group, folder):
    group.create_dataset("kernel:0", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip")


def many(group, folder):
    for i in range(40):
        group.create_dataset(f"part{i}", (1 << 21,), "f4", chunks=(1 << 16,), compression="gzip")


def deep(group, folder):
    for _ in range(80):
        group = group.create_group("g")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (virtual, "keeps its values in another file"),
        (external, "keeps its values in another file"),
        (soft, "is a SoftLink"),
        (link, "is a ExternalLink"),
        (loop, "are one object"),
        (objects, "no plain numbers"),
        (bomb, "far more than it holds"),
        (many, "far more than it holds"),
        (deep, "deeper than 64"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_an_hdf5_file_may_hide_is_refused(tmp_path, harm, said):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.ones((3, 3, 1, 4), np.float32)
    with pytest.raises(InputError, match=said):
        transfer.load(replaced(tmp_path / "m.h5", harm))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"../../evil": "x"}, "points outside"),
        ({"/etc/evil": "x"}, "points outside"),
        ({"weights": BOMB}, "declared far larger"),
        ({"config": "[" * 100_000}, "is no JSON"),
        ({"config": "{}"}, "damaged"),
        ({"config": '{"class_name": "Sequential", "config": 1e999}'}, "damaged"),
        ({"weights": b"\x89HDF\r\n\x1a\n"}, "damaged"),
    ],
    ids=("up", "root", "bomb", "deep", "empty", "infinite", "cut"),
)
def test_what_an_archive_may_hide_is_refused(tmp_path, fields, said):
    fields = {"weights": modern(tmp_path / "w.h5")} | fields
    if fields["weights"] is BOMB:
        fields["weights"] = bytes(80 << 20)
    with pytest.raises(InputError, match=said):
        transfer.load(archived(tmp_path / "m.keras", **fields))


def test_models_in_models_without_end_are_refused(tmp_path):
    inner = small()
    for _ in range(40):
        inner = sequence({"class_name": "Sequential", "config": inner["config"]})
        del inner["config"]["layers"][0]["config"]["batch_input_shape"]
    with pytest.raises(InputError, match="more than 16 deep"):
        transfer.load(written(tmp_path / "m.h5", inner, {}))


def test_a_reader_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(hdf5, "CHILD", tmp_path / "slow.py")
    monkeypatch.setattr(hdf5, "SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(InputError, match="takes over"):
        hdf5.read(written(tmp_path / "m.h5"))
    assert time.monotonic() - start < 20


def test_the_reader_is_not_trusted_with_what_it_hands_back():
    header = json.dumps({"config": None, "attributes": {}, "datasets": [["x", "<f4", [1 << 40]]]})
    out = io.BytesIO(len(header).to_bytes(8, "little") + header.encode())
    with pytest.raises(InputError, match="damaged"):
        hdf5.received("m.h5", out, 1 << 26)


def mutated(original, seed):
    """Returns the bytes with a few of them changed, or a part cut out or doubled."""
    draw = np.random.default_rng(seed)
    values = bytearray(original)
    for _ in range(draw.integers(1, 9)):
        values[draw.integers(len(values))] = draw.integers(256)
    if seed % 3 == 0:
        start, length = draw.integers(len(values)), draw.integers(1, 512)
        values[start : start + length] = values[start : start + length] * (seed % 2 * 2)
    return bytes(values)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("ending", "seeds"),
    [
        pytest.param(ending, range(start, start + count), marks=marks)
        for ending in ("h5", "keras")
        for start, count, marks in ((20, 10, ()), (0, 10, pytest.mark.slow))
    ],
    ids=str,
)
def test_a_damaged_file_gives_a_sentence_or_weights(tmp_path, ending, seeds):
    path = tmp_path / f"m.{ending}"
    if ending == "h5":
        written(path, small())
    else:
        archived(path, modern(tmp_path / "w.h5"))
    original, whole = path.read_bytes(), tree.shapes(transfer.load(path)[1])
    refused = 0
    for seed in seeds:
        path.write_bytes(mutated(original, seed))
        try:
            assert tree.shapes(transfer.load(path)[1]) == whole
        except InputError:
            refused += 1
    assert refused
