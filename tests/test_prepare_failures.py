"""Preparing data sets when something is wrong: a sentence, and no half-written set."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from cnnjax.data import builder, prepare
from cnnjax.errors import InputError
from tests.original_archives import CIFAR10_NAMES, idx, write_cifar, write_mnist, write_tar

tfds = pytest.importorskip("tensorflow_datasets")
IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def silent() -> Progress:
    return Progress(console=Console(file=io.StringIO(), width=1000))


def said(progress: Progress) -> str:
    return progress.console.file.getvalue()  # type: ignore[attr-defined]


def mark_prepared(path: Path, file_format: str = "array_record") -> None:
    path.mkdir(parents=True)
    (path / "dataset_info.json").write_text(json.dumps({"fileFormat": file_format}))
    (path / "features.json").write_text("{}")


def test_prepared_sets_are_found_by_name_config_and_version(tmp_path):
    for path in ("a/1.9.0", "a/1.10.0", "b/small/1.0.0", "c/x/1.0.0", "c/y/1.0.0", "d/nonsense"):
        mark_prepared(tmp_path / path)
    mark_prepared(tmp_path / "e/1.0.0", "tfrecord")
    (tmp_path / "f/1.0.0").mkdir(parents=True)
    assert prepare.find("a", tmp_path) == tmp_path / "a/1.10.0"
    assert prepare.find("a:1.9.0", tmp_path) == tmp_path / "a/1.9.0"
    assert prepare.find("b", tmp_path) == tmp_path / "b/small/1.0.0"
    assert prepare.find("c/y", str(tmp_path)) == tmp_path / "c/y/1.0.0"
    for name in ("a:2.0.0", "b/large", "d", "e", "f", "g", "", "../a", "a/../a", "a/.."):
        assert not prepare.is_prepared(name, tmp_path), name
    with pytest.raises(InputError, match="c/x, c/y"):
        prepare.find("c", tmp_path)


def test_without_a_data_dir_the_directory_of_tfds_is_meant(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    mark_prepared(tmp_path / "mnist/3.0.1")
    assert prepare.find("mnist", None) == tmp_path / "mnist/3.0.1"
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    mark_prepared(tmp_path / "home/tensorflow_datasets/mnist/3.0.1")
    assert prepare.find("mnist", None) == tmp_path / "home/tensorflow_datasets/mnist/3.0.1"


def test_a_set_that_cannot_be_prepared_here_says_how_to_get_it(tmp_path):
    with pytest.raises(InputError, match=r"'imagenet2012' is not prepared in .*\n.*tfds build"):
        prepare.prepare("imagenet2012", tmp_path)
    with pytest.raises(InputError, match="did you mean fashion_mnist"):
        prepare.prepare("fashon_mnist", tmp_path)
    with pytest.raises(InputError, match=r"only version 3\.0\.1 of mnist"):
        prepare.prepare("mnist:1.0.0", tmp_path)
    with pytest.raises(InputError, match="did you mean mnist"):
        prepare.BUILDERS["mnis"]


def test_a_set_written_by_tensorflow_is_neither_used_nor_overwritten(tmp_path):
    version = tmp_path / "data" / "mnist" / builder.version("mnist")
    mark_prepared(version, "tfrecord")
    write_mnist(tmp_path / "manual")
    with pytest.raises(InputError, match=r"exists, but not as array_record .* move it away"):
        prepare.prepare("mnist", tmp_path / "data", tmp_path / "manual", silent())
    assert sorted(path.name for path in version.iterdir()) == ["dataset_info.json", "features.json"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def header(path: Path, index: int, value: int) -> None:
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[index] = value
    path.write_bytes(gzip.compress(bytes(data), 1))


MNIST_FLAWS = {
    "is truncated or damaged": lambda folder: truncate(folder / IMAGES),
    "is truncated or damaged$": lambda folder: (folder / IMAGES).write_bytes(gzip.compress(b"")),
    "Not a gzipped file": lambda folder: (folder / LABELS).write_bytes(b"<html>login</html>"),
    "is no IDX file of uint8 with 3": lambda folder: shutil.copy(folder / LABELS, folder / IMAGES),
    "starts with 00000d03": lambda folder: header(folder / IMAGES, 2, 0x0D),
    "13 of the 14 values": lambda folder: header(folder / LABELS, 7, 14),
    "more than the 12 values": lambda folder: header(folder / LABELS, 7, 12),
    "truncated or damaged": lambda folder: header(folder / IMAGES, 4, 0xFF),  # 4 billion images
    "13 images, .* 7 labels": lambda folder: shutil.copy(
        folder / "t10k-labels-idx1-ubyte.gz", folder / LABELS
    ),
    r"images of \(14, 56\), not of \(28, 28\)": lambda folder: (folder / IMAGES).write_bytes(
        idx(np.zeros((13, 14, 56), np.uint8))
    ),
    "label 10 is outside 0 to 9": lambda folder: header(folder / LABELS, 8, 10),
    "holds no examples": lambda folder: [
        (folder / IMAGES).write_bytes(idx(np.zeros((0, 28, 28), np.uint8))),
        (folder / LABELS).write_bytes(idx(np.zeros(0, np.uint8))),
    ],
}


@pytest.mark.parametrize("sentence", MNIST_FLAWS)
def test_a_damaged_idx_archive_is_named_and_described(sentence, tmp_path):
    write_mnist(tmp_path / "manual")
    MNIST_FLAWS[sentence](tmp_path / "manual")
    with pytest.raises(InputError, match=f"-ubyte.gz.*{sentence}"):
        prepare.prepare("mnist", tmp_path / "data", tmp_path / "manual", silent())
    assert not (tmp_path / "data" / "mnist").exists()


def cifar_members(flaw: str) -> dict[str, bytes]:
    top = "cifar-10-batches-bin"
    records = bytes(3073) * 2
    members = {f"{top}/data_batch_{i}.bin": records for i in range(1, 6)}
    members[f"{top}/test_batch.bin"] = records
    members[f"{top}/batches.meta.txt"] = "\n".join(CIFAR10_NAMES).encode()
    if flaw == "lacks":
        del members[f"{top}/data_batch_3.bin"]
    elif flaw == "records":
        members[f"{top}/test_batch.bin"] = records[:-1]
    elif flaw == "names":
        members[f"{top}/batches.meta.txt"] = b"airplane\nautomobile"
    elif flaw == "label":
        members[f"{top}/data_batch_5.bin"] = bytes([255]) + bytes(3072)
    return members


@pytest.mark.parametrize(
    ("flaw", "sentence"),
    [
        ("lacks", "lacks cifar-10-batches-bin/data_batch_3.bin"),
        ("records", "test_batch.bin is no whole number of records of 3073 bytes"),
        ("names", "batches.meta.txt names 2 classes, not 10"),
        ("label", "label 255 is outside 0 to 9"),
        ("truncated", "is truncated or damaged"),
    ],
)
def test_a_damaged_cifar_archive_is_named_and_described(flaw, sentence, tmp_path):
    path = tmp_path / "manual" / "cifar-10-binary.tar.gz"
    write_tar(path, cifar_members(flaw))
    if flaw == "truncated":
        truncate(path)
    with pytest.raises(InputError, match=f"cifar-10-binary.tar.gz.*{sentence}"):
        prepare.prepare("cifar10", tmp_path / "data", tmp_path / "manual", silent())
    assert not (tmp_path / "data" / "cifar10").exists()


def test_another_sha256_in_manual_dir_is_reported_in_one_line_and_used(tmp_path):
    write_cifar(tmp_path / "manual", "cifar10")
    progress = silent()
    prepare.prepare("cifar10", tmp_path / "data", tmp_path / "manual", progress)
    lines = said(progress).splitlines()
    assert len(lines) == 2
    assert "cifar-10-binary.tar.gz has sha256" in lines[0]
    assert "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd" in lines[0]
    assert lines[1].startswith("cifar10: 15 train and 3 test examples in ")


def test_a_manual_dir_that_is_none_says_what_it_should_hold(tmp_path):
    with pytest.raises(
        InputError, match=r"manual_dir .*nowhere is no directory.*train-images.* and t10k-l"
    ):
        prepare.prepare("mnist", tmp_path / "data", tmp_path / "nowhere", silent())


@contextlib.contextmanager
def unprivileged():
    """Root may write anywhere: become nobody for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_data_dir_that_cannot_be_written_or_read_gives_a_sentence(tmp_path):
    builder.version("mnist")  # imports TFDS while we may read it
    sentence = r"mnist cannot be prepared in .*{}.*choose another --config\.data\.data_dir"
    with tempfile.TemporaryDirectory() as locked:
        Path(locked).chmod(0o555)
        with unprivileged(), pytest.raises(InputError, match=sentence.format("Permission denied")):
            prepare.prepare("mnist", locked, progress=silent())
        Path(locked).chmod(0)
        with unprivileged(), pytest.raises(InputError, match="Permission denied"):
            prepare.prepare("mnist", locked, progress=silent())
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=sentence.format("Not a directory")):
        prepare.prepare("mnist", tmp_path / "file" / "data", progress=silent())


SCRIPT = """
import sys
from cnnjax.data import builder, prepare
data, manual = sys.argv[1:3]
if sys.argv[3:] == ["killed"]:
    import os, signal
    write = builder.write
    def killed(dataset, contents, size, root, advance):
        left = iter(range(10))
        return write(dataset, contents, size, root,
                     lambda: next(left, None) is None and os.kill(os.getpid(), signal.SIGKILL))
    builder.write = killed
path = prepare.prepare("mnist", data, manual)
import tensorflow_datasets as tfds
assert len(tfds.data_source("mnist", data_dir=data)["train"]) == 13
assert "tensorflow" not in sys.modules, "TensorFlow was imported"
print(path)
"""


def start(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-W", "error", "-c", SCRIPT, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_prepare_one_good_set_and_import_no_tensorflow(tmp_path):
    write_mnist(tmp_path / "manual")
    both = [start(tmp_path / "data", tmp_path / "manual") for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out == f"{tmp_path}/data/mnist/3.0.1\n"
    assert [path.name for path in (tmp_path / "data/mnist").iterdir()] == ["3.0.1"]
    assert [path.name for path in (tmp_path / "data/downloads/mnist").iterdir()] == ["lock"]


def test_a_killed_preparation_looks_unprepared_and_the_next_one_clears_it_away(tmp_path):
    write_mnist(tmp_path / "manual")
    process = start(tmp_path / "data", tmp_path / "manual", "killed")
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert not prepare.is_prepared("mnist", tmp_path / "data")
    assert list((tmp_path / "data/downloads/mnist").glob("staging-*"))
    prepare.prepare("mnist", tmp_path / "data", tmp_path / "manual", silent())
    assert prepare.is_prepared("mnist", tmp_path / "data")
    assert not list((tmp_path / "data/downloads/mnist").glob("staging-*"))


def test_an_interrupted_preparation_leaves_nothing_behind(tmp_path, monkeypatch):
    write_mnist(tmp_path / "manual")
    progress = silent()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(progress, "advance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare("mnist", tmp_path / "data", tmp_path / "manual", progress)
    assert not prepare.is_prepared("mnist", tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()] == ["lock"]


def test_a_preparation_waits_for_the_one_that_is_running(tmp_path):
    write_mnist(tmp_path / "manual")
    folder = tmp_path / "data" / "downloads" / "mnist"
    folder.mkdir(parents=True)
    progress, arguments = silent(), ("mnist", tmp_path / "data", tmp_path / "manual")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=prepare.prepare, args=(*arguments, progress))
        thread.start()
        thread.join(timeout=0.5)
        assert thread.is_alive()
        assert not prepare.is_prepared("mnist", tmp_path / "data")
    thread.join(timeout=60)
    assert "mnist: another process is preparing it" in said(progress)
    assert prepare.is_prepared("mnist", tmp_path / "data")
