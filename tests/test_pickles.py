"""PyTorch's containers written here byte by byte, and by PyTorch where it is installed."""

import functools
import os
import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest

from cnnjax.errors import InputError
from cnnjax.transfer import pickles
from tests.pickle_files import (
    MARK,
    PERSISTENT,
    STOP,
    TUPLE,
    call,
    dictionary,
    literal,
    name,
    tensor,
    write_legacy,
    write_zip,
)


@pytest.fixture(params=[write_zip, write_legacy], ids=["zip", "legacy"])
def write(request, tmp_path):
    """Writes a pickle and its storages in either container."""
    return functools.partial(request.param, tmp_path / "file.pth")


def test_tensors_are_views_of_their_storage_by_offset_size_and_stride(write):
    numbers = np.arange(24, dtype=np.float32)
    content = dictionary(
        rows=tensor("FloatStorage", "0", 24, 0, (4, 6), (6, 1)),
        columns=tensor("FloatStorage", "0", 24, 0, (6, 4), (1, 6)),
        part=tensor("FloatStorage", "0", 24, 8, (2, 2), (6, 2)),
        scalar=tensor("FloatStorage", "0", 24, 5, (), ()),
        empty=tensor("FloatStorage", "0", 24, 24, (0, 3), (3, 1)),
        epoch=literal(7),
        wrapped=call(
            name("torch._utils", "_rebuild_parameter"),
            tensor("FloatStorage", "0", 24, 0, (24,), (1,)),
            literal(True),
            call(name("collections", "OrderedDict")),
        ),
    )
    read = pickles.load(write(content, {"0": numbers}))
    matrix = numbers.reshape(4, 6)
    np.testing.assert_array_equal(read["rows"], matrix)
    np.testing.assert_array_equal(read["columns"], matrix.T)
    np.testing.assert_array_equal(read["part"], [[8, 10], [14, 16]])
    assert read["scalar"] == 5 and read["scalar"].shape == ()
    assert read["empty"].shape == (0, 3)
    assert read["epoch"] == 7
    np.testing.assert_array_equal(read["wrapped"], numbers)
    assert read["rows"].base is not None and np.shares_memory(read["rows"], read["part"])


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("BFloat16Storage", ml_dtypes.bfloat16),
        ("BoolStorage", np.bool_),
        ("ByteStorage", np.uint8),
        ("CharStorage", np.int8),
        ("DoubleStorage", np.float64),
        ("HalfStorage", np.float16),
        ("IntStorage", np.int32),
        ("LongStorage", np.int64),
        ("ShortStorage", np.int16),
    ],
)
def test_every_dtype_is_kept(write, kind, dtype):
    values = np.asarray([0, 1, 3]).astype(dtype)
    read = pickles.load(write(dictionary(t=tensor(kind, "7", 3, 0, (3,), (1,))), {"7": values}))
    assert read["t"].dtype == dtype
    np.testing.assert_array_equal(read["t"], values)


def test_the_old_views_of_a_storage_start_at_their_own_offset(tmp_path):
    view = literal(("view", 2, 3))
    content = dictionary(t=tensor("FloatStorage", "0", 6, 0, (3,), (1,), view))
    path = write_legacy(tmp_path / "old.pth", content, {"0": np.arange(6, dtype=np.float32)})
    np.testing.assert_array_equal(pickles.load(path)["t"], [2, 3, 4])


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("collections", "Counter"),
        ("functools", "partial"),
        ("numpy", "load"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_parameter_with_state"),
        ("torch.serialization", "os.system"),
        ("cnnjax.transfer.pickles", "pickle.loads"),
    ],
)
def test_whatever_else_a_pickle_calls_is_refused_by_name_and_does_not_run(
    write, tmp_path, module, attribute
):
    trace = tmp_path / "it_ran"
    content = dictionary(a=call(name(module, attribute), literal(f"touch {trace}")))
    with pytest.raises(InputError, match=f"refused {module}.{attribute}: only tensors"):
        pickles.load(write(content))
    assert not trace.exists()


def test_the_same_pickle_does_run_without_the_allow_list(tmp_path):
    """Otherwise the test above would show nothing."""
    trace = tmp_path / "it_ran"
    pickle.loads(b"\x80\x02" + call(name("os", "system"), literal(f"touch {trace}")) + STOP)
    assert trace.exists()


BUILD = b"b"


@pytest.mark.parametrize(
    "content",
    [
        # a state set on what may be called, which a later call would obey
        name("torch._utils", "_rebuild_tensor") + literal({"__call__": 1}) + BUILD,
        name("torch._utils", "_rebuild_tensor") + literal((None, {"__defaults__": ()})) + BUILD,
        name("collections", "OrderedDict") + literal((None, {"get": 1})) + BUILD,
        name("collections", "OrderedDict") + literal({"get": 1}) + BUILD,
        name("torch", "FloatStorage") + literal({"a": 1}) + BUILD,
        call(name("torch", "FloatStorage"), literal(3)),
        call(name("torch._utils", "_rebuild_tensor"), *map(literal, ([1.0], 0, (1,), (1,)))),
        MARK + literal("module") + literal("os") + TUPLE + PERSISTENT,
        MARK + literal("storage") + literal("Float") + literal("0") * 3 + TUPLE + PERSISTENT,
        literal("0") + PERSISTENT,
        b"\x82\x01",  # the copyreg extension 1
    ],
)
def test_what_may_be_called_cannot_be_bent(write, content):
    with pytest.raises(InputError):
        pickles.load(write(content))
    assert pickles.RebuildTensor()(np.ones(2), 0, (2,), (1,)).sum() == 2


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (7,), (1,)),
        (1, (6,), (1,)),
        (-1, (2,), (1,)),
        (0, (-1,), (1,)),
        (5, (2,), (-1,)),
        (0, (2, 2), (5, 1)),
        (0, (2, 2), (1,)),
        (0, (1000000, 1000000), (0, 0)),
        (10**18, (2,), (1,)),
        (0, (2,), (10**18,)),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(write, offset, size, stride):
    content = dictionary(t=tensor("FloatStorage", "0", 6, offset, size, stride))
    with pytest.raises(InputError, match="tensor of size"):
        pickles.load(write(content, {"0": np.zeros(6, np.float32)}))


@pytest.mark.parametrize("count", (-1, 5, 7, 10**15))
def test_a_storage_of_another_size_than_its_bytes_is_refused(write, count):
    content = dictionary(t=tensor("FloatStorage", "0", count, 0, (1,), (1,)))
    with pytest.raises(InputError, match=r"file\.pth"):
        pickles.load(write(content, {"0": np.zeros(6, np.float32)}))


def example(write):
    content = dictionary(
        a=tensor("FloatStorage", "0", 50, 0, (5, 10), (10, 1)),
        b=tensor("HalfStorage", "1", 20, 4, (4,), (1,)),
    )
    return write(content, {"0": np.arange(50, dtype=np.float32), "1": np.ones(20, np.float16)})


def test_a_file_cut_off_anywhere_is_a_plain_error(write):
    path = example(write)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"file\.pth"):
            pickles.load(path)


def test_a_damaged_byte_is_a_plain_error_or_another_number(write):
    path = example(write)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for position in generator.integers(0, len(whole), 400):
        damaged = bytearray(whole)
        damaged[position] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        try:
            pickles.load(path)
        except InputError as error:
            assert "file.pth" in str(error)


def test_a_compressed_archive_is_refused_before_it_can_grow(tmp_path):
    content = dictionary(t=tensor("FloatStorage", "0", 10**6, 0, (10**6,), (1,)))
    storages = {"0": np.zeros(10**6, np.float32)}
    path = write_zip(tmp_path / "bomb.pth", content, storages, zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="is compressed"):
        pickles.load(path)


def test_other_archives_and_pickles_are_told_from_pytorchs(tmp_path):
    path = tmp_path / "other.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "")
    with pytest.raises(InputError, match="not one of torch.save"):
        pickles.load(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match="not one of torch.save"):
        pickles.load(path)
    with pytest.raises(FileNotFoundError):
        pickles.load(tmp_path / "absent.pth")


@pytest.mark.parametrize("new", (True, False), ids=("zip", "legacy"))
def test_what_pytorch_writes_is_read_as_pytorch_reads_it(tmp_path, new):
    torch = pytest.importorskip("torch", reason="needs PyTorch: make oracles")
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    saved = {
        "whole": base,
        "view": base[1:, ::2],
        "transposed": base.permute(2, 0, 1),
        "parameter": torch.nn.Parameter(torch.ones(2, 2)),
        "bfloat16": torch.tensor([1.5, -2.0]).bfloat16(),
        "long": torch.tensor(7),
        "list": [torch.zeros(0, 3), 1.5, "word", None],
        "model": torch.nn.Conv2d(2, 3, 3).state_dict(),
    }
    path = tmp_path / "saved.pth"
    torch.save(saved, path, _use_new_zipfile_serialization=new)
    read = pickles.load(path)
    for key in ("whole", "view", "transposed", "parameter", "long"):
        np.testing.assert_array_equal(read[key], saved[key].detach().numpy())
    np.testing.assert_array_equal(read["bfloat16"].astype(np.float32), [1.5, -2.0])
    assert read["list"][0].shape == (0, 3) and read["list"][1:] == [1.5, "word", None]
    for key, value in saved["model"].items():
        np.testing.assert_array_equal(read["model"][key], value.numpy())


@pytest.mark.parametrize(
    ("file", "tensors", "parameters"),
    [
        ("lenet5_Death-of-life.pth", 10, 61_706),
        ("lenet_khushbujpatel.pt", 10, 61_706),
        ("resnet20-12fca82f.th", 97, 269_722),
        ("resnet56-4bfd9763.th", 277, 853_018),
    ],
)
def test_real_files_hold_their_networks_parameters(shared, file, tensors, parameters):
    read = pickles.load(os.path.join(shared, "weights", file))
    read = read.get("state_dict", read)
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert len(read) == tensors
    assert sum(v.size for k, v in read.items() if not k.endswith(statistics)) == parameters
