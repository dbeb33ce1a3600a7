"""Files that were made to harm: an error in a sentence, soon, and without much memory."""

import json
import pickle
import random
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

from cnnjax import transfer
from cnnjax.errors import InputError
from tests.pickle_files import (
    MARK,
    REDUCE,
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

MOST_BYTES, MOST_SECONDS = 100 << 20, 20
VALUES = {str(i): np.arange(12, dtype=np.float32) + i for i in range(3)}
CONTENT = dictionary(
    **{f"layer{i}.weight": tensor("FloatStorage", str(i), 12, 0, (3, 4), (4, 1)) for i in range(3)}
)


def refused(path, match=None):
    """Asserts that a file is refused within bounds."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(InputError, match=match):
            transfer.read(path)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - start < MOST_SECONDS


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"r\xff\xff\xff\x7f", "names its"),  # a table for 2 ** 31 values
        (b"N" + b"r\xff\xff\xff\x7f", "names its"),
        (b"\x8a\x05" + b"\xff" * 3, "damaged"),  # a number that ends early
        (b"\x8b\xff\xff\xff\x7f" + b"1" * 50, "damaged"),  # LONG4 of 2 GiB
        (b"L" + b"9" * 100_000 + b"L\n", "damaged"),
        (b"\x8d" + (1 << 60).to_bytes(8, "little"), "damaged"),  # a string of an exabyte
        (b"\x96" + (1 << 60).to_bytes(8, "little"), "BYTEARRAY8"),
        (b"\x95" + (1 << 60).to_bytes(8, "little") + b"N", "damaged|frame"),
        (b"\x82\x01", "EXT1"),
        (MARK + b"ios\nsystem\n", "INST"),
        (b"]" * 100_000 + b"a" * 99_999, "found none"),  # lists in lists
        (name("os", "system") + MARK + literal("id") + TUPLE + REDUCE, "refused os.system"),
        (call(name("builtins", "set"), literal(3)), "refused a list"),
        (call(name("_codecs", "encode"), literal("x"), literal("rot13")), "refused _codecs"),
        (call(name("torch", "Size"), literal({})), "refused a list"),
        (name("os", "system") + literal({"__call__": 1}) + b"b", "damaged|refused"),
    ],
)
def test_a_pickle_that_asks_for_too_much_is_refused(tmp_path, content, match):
    for write in (write_zip, write_legacy):
        refused(write(tmp_path / "file.pth", content), match)


def test_values_that_hold_each_other_many_times_are_walked_once(tmp_path):
    """2 ** 40 paths lead to the innermost dict; six dicts deep the search ends in any case."""
    content = b"}q\x00"
    for i in range(1, 40):
        content += b"}q" + bytes([i])
        content += b"".join(literal(key) + b"h" + bytes([i - 1]) + b"s" for key in ("a", "b"))
    refused(write_zip(tmp_path / "bomb.pth", content), "found none")


def test_members_of_an_archive_that_overlap_are_refused(tmp_path):
    """A thousand names for the same bytes."""
    path = write_zip(tmp_path / "file.pth", CONTENT, {"0": np.zeros(50_000, np.float32)})
    with zipfile.ZipFile(path, "a") as archive:
        big = archive.getinfo("archive/data/0")
        for i in range(1000):
            copy = zipfile.ZipInfo(f"archive/data/x{i}")
            copy.file_size = copy.compress_size = big.file_size
            copy.header_offset, copy.CRC = big.header_offset, big.CRC
            archive.filelist.append(copy)
            archive.NameToInfo[copy.filename] = copy
        archive._didModify = True
    refused(path, "overlap")


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [1 << 32, 1 << 32], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
         "b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
    ],
)  # fmt: skip
def test_a_safetensors_header_that_lies_is_refused(tmp_path, header):
    text = json.dumps(header).encode()
    (tmp_path / "f").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    refused(tmp_path / "f")


def test_two_tensors_of_one_name_and_deep_json_are_refused(tmp_path):
    one = '"a": {"dtype": "F32", "shape": [1], "data_offsets": [%d, %d]}'
    double = "{" + one % (0, 4) + ", " + one % (4, 8) + "}"
    deep = '{"__metadata__": ' + '{"a": ' * 50_000 + "1" + "}" * 50_001
    for text in (double.encode(), deep.encode()):
        (tmp_path / "f").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
        refused(tmp_path / "f")


def mutated(whole, seed):
    """Returns the bytes with one to four of them changed, a part cut out, or one doubled."""
    draw = random.Random(seed)
    content = bytearray(whole)
    for _ in range(draw.randint(1, 4)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    if draw.random() < 0.3:
        at = draw.randrange(len(content))
        part = content[at : at + draw.randrange(64)]
        content[at : at + len(part)] = part * 2 if draw.random() < 0.5 else b""
    return bytes(content)


def every_format(folder):
    tensors = {f"layer{i}.weight": VALUES[str(i)].reshape(3, 4) for i in range(3)}
    return {
        "zip": write_zip(folder / "zip", CONTENT, VALUES).read_bytes(),
        "legacy": write_legacy(folder / "legacy", CONTENT, VALUES).read_bytes(),
        "safetensors": save(tensors),
    }


@pytest.mark.parametrize("form", ("zip", "legacy", "safetensors"))
@pytest.mark.parametrize("count", (50, pytest.param(500, marks=pytest.mark.slow)))
def test_mutated_files_are_refused_or_hold_tensors(tmp_path, form, count):
    """In a pickle and a safetensors file nothing tells a changed number from another one."""
    whole = every_format(tmp_path)[form]
    refusals = 0
    tracemalloc.start()
    start = time.perf_counter()
    try:
        for seed in range(count):
            (tmp_path / "f").write_bytes(mutated(whole, seed))
            try:
                tensors = transfer.read(tmp_path / "f")[1]
                assert all(isinstance(array, np.ndarray) for array in tensors.values())
                assert sum(array.size for array in tensors.values()) <= 36
            except InputError:
                refusals += 1
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert count / 10 < refusals and time.perf_counter() - start < 0.2 * count + MOST_SECONDS


def test_the_whole_files_are_read(tmp_path):
    for whole in every_format(tmp_path).values():
        (tmp_path / "f").write_bytes(whole)
        found = transfer.read(tmp_path / "f")[1]
        np.testing.assert_array_equal(found["layer2.weight"], VALUES["2"].reshape(3, 4))
    assert pickle.loads(b"\x80\x02" + literal([1]) + STOP) == [1]
