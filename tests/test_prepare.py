"""Preparing data sets without TensorFlow: what TFDS reads back from archives written by the test.

Oracles: TFDS's own builders and lists of checksums (installed), and the MNIST of ../shared/tfds.
"""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from cnnjax.data import prepare
from tests.original_archives import (
    CIFAR10_NAMES,
    COARSE,
    FINE,
    NAMES,
    idx,
    write_archives,
    write_mnist,
)

tfds = pytest.importorskip("tensorflow_datasets")


def silent() -> Progress:
    return Progress(console=Console(file=io.StringIO(), width=1000))


@pytest.mark.parametrize("name", NAMES)
def test_pixels_and_labels_come_back_bit_for_bit_through_tfds(name, tmp_path):
    splits = write_archives(tmp_path / "manual", name)
    path = prepare.prepare(name, tmp_path / "data", tmp_path / "manual", silent())
    for source in (
        tfds.data_source(name, data_dir=tmp_path / "data"),
        tfds.builder_from_directory(path).as_data_source(),
    ):
        for split, (images, labels) in splits.items():
            assert len(source[split]) == len(images)
            found = list(source[split])
            if "cifar" in name:
                found.sort(key=lambda example: example["id"])
                ids = [f"{split}_{i:05d}".encode() for i in range(len(images))]
                assert [example["id"] for example in found] == ids
                assert all((a["image"] == b).all() for a, b in zip(found, images, strict=True))
                for key, values in labels.items():
                    assert [example[key] for example in found] == values.tolist()
            else:
                pairs = [(e["image"].tobytes(), int(e["label"])) for e in found]
                wanted = zip(images, labels["label"].tolist(), strict=True)
                assert sorted(pairs) == sorted((image.tobytes(), label) for image, label in wanted)
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("name", NAMES)
def test_name_version_features_and_class_names_are_those_of_tfds(name, tmp_path):
    write_archives(tmp_path / "manual", name)
    path = prepare.prepare(name, tmp_path / "data", tmp_path / "manual", silent())
    stock = tfds.builder_cls(name)(data_dir=tmp_path / "elsewhere")
    assert path == tmp_path / "data" / name / str(stock.version)
    stock.info.features.save_config(tmp_path)
    assert (path / "features.json").read_text() == (tmp_path / "features.json").read_text()
    ours = tfds.builder(name, data_dir=tmp_path / "data").info
    assert ours.supervised_keys == stock.info.supervised_keys == ("image", "label")
    assert ours.description == stock.info.description
    names = {"cifar10": CIFAR10_NAMES, "cifar100": FINE}.get(
        name, stock.info.features["label"].names
    )
    assert ours.features["label"].names == names
    if name == "cifar100":
        assert ours.features["coarse_label"].names == COARSE
    sizes = sum(file.stat().st_size for file in (tmp_path / "manual").iterdir())
    assert int(ours.download_size) == sizes


@pytest.mark.parametrize("name", NAMES)
def test_archives_are_those_in_the_checksum_lists_of_tfds(name):
    listed = tfds.builder_cls(name).url_infos
    ours = {archive.addresses[0]: archive for archive in prepare.BUILDERS[name].archives}
    assert set(ours) <= set(listed)
    for address, archive in ours.items():
        info = listed[address]
        assert (archive.name, archive.size, archive.sha256) == (
            info.filename,
            int(info.size),
            info.checksum,
        )
        assert all(mirror.endswith(archive.name) for mirror in archive.addresses)


def original_order(split: str, count: int) -> np.ndarray:
    """Where TFDS's shuffling put example 0, 1, 2, ... of the original archive."""
    from tensorflow_datasets.core import hashing

    hasher = hashing.Hasher(split)
    return np.argsort(sorted(range(count), key=hasher.hash_key))


def test_the_shared_mnist_is_written_again_in_the_same_order_from_its_archives(tmp_path, shared):
    theirs = list(tfds.data_source("mnist", split="test", data_dir=shared / "tfds"))
    images = np.stack([example["image"][..., 0] for example in theirs])
    labels = np.array([example["label"] for example in theirs], np.uint8)
    order = original_order("test", len(labels))
    # So t10k-labels-idx1-ubyte begins: the order of the archive was found.
    assert labels[order][:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]

    write_mnist(tmp_path / "manual")
    for kind, array in (("images-idx3", images[order]), ("labels-idx1", labels[order])):
        (tmp_path / "manual" / f"t10k-{kind}-ubyte.gz").write_bytes(idx(array))
    path = prepare.prepare("mnist", tmp_path / "data", tmp_path / "manual", silent())
    skip = {"image": tfds.decode.SkipDecoding()}
    ours = tfds.data_source("mnist", split="test", data_dir=tmp_path / "data", decoders=skip)
    assert [example["label"] for example in ours] == labels.tolist()
    ours = tfds.data_source("mnist", split="test", data_dir=tmp_path / "data")
    assert all((ours[i]["image"][..., 0] == images[i]).all() for i in range(0, len(images), 23))
    my_info, their_info = (
        json.loads((folder / "dataset_info.json").read_text())
        for folder in (path, prepare.find("mnist", shared / "tfds"))
    )
    for key in ("name", "version", "fileFormat", "supervisedKeys", "location"):
        assert my_info[key] == their_info[key]
    for info in (my_info, their_info):
        assert [split["name"] for split in info["splits"]] == ["train", "test"]
        assert info["splits"][1]["shardLengths"] == ["10000"]
