"""Writes the original archives of the MNIST family and of CIFAR in miniature.

After the descriptions at http://yann.lecun.com/exdb/mnist and
https://www.cs.toronto.edu/~kriz/cifar.html, byte by byte, with no code of ours.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from pathlib import Path

import numpy as np

MNIST_LIKE = ("mnist", "fashion_mnist", "kmnist")
NAMES = (*MNIST_LIKE, "cifar10", "cifar100")
COARSE, FINE = [f"coarse {i}" for i in range(20)], [f"fine {i}" for i in range(100)]
CIFAR10_NAMES = ["airplane", "automobile", "bird", "cat", "deer"]
CIFAR10_NAMES += ["dog", "frog", "horse", "ship", "truck"]


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), compresslevel=1, mtime=0)


def write_mnist(folder: Path, train: int = 13, test: int = 7) -> dict:
    """Writes the four files; returns {split: (images, {feature: labels})}."""
    folder.mkdir(parents=True, exist_ok=True)
    random, splits = np.random.default_rng(0), {}
    for split, prefix, count in (("train", "train", train), ("test", "t10k", test)):
        images = random.integers(0, 256, (count, 28, 28, 1), np.uint8)
        labels = random.integers(0, 10, count).astype(np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(images[..., 0]))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
        splits[split] = images, {"label": labels}
    return splits


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        link = tarfile.TarInfo("outside")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        for name, data in {"../escaped": b"evil", **members}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def write_cifar(folder: Path, name: str) -> dict:
    """Writes the one archive, record by record as the web page describes it."""
    limits = {"label": 10} if name == "cifar10" else {"coarse_label": 20, "label": 100}
    random, splits, members = np.random.default_rng(1), {}, {}
    batches = [f"data_batch_{i}.bin" for i in range(1, 6)]
    files = {"train": batches, "test": ["test_batch.bin"]}
    if name == "cifar100":
        files = {"train": ["train.bin"], "test": ["test.bin"]}
    for split, names in files.items():
        count = 3 * len(names)
        images = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
        labels = {key: random.integers(0, n, count) for key, n in limits.items()}
        for i, file in enumerate(names):
            members[file] = b"".join(
                bytes(int(labels[key][j]) for key in limits)
                + images[j].transpose(2, 0, 1).tobytes()
                for j in range(3 * i, 3 * i + 3)
            )
        splits[split] = images, labels
    texts = {"batches.meta.txt": CIFAR10_NAMES}
    if name == "cifar100":
        texts = {"coarse_label_names.txt": COARSE, "fine_label_names.txt": FINE}
    members |= {file: ("\n".join(words) + "\n\n").encode() for file, words in texts.items()}
    top = "cifar-10-batches-bin" if name == "cifar10" else "cifar-100-binary"
    archive = folder / f"{name.replace('cifar', 'cifar-')}-binary.tar.gz"
    write_tar(archive, {f"{top}/{file}": data for file, data in members.items()})
    return splits


def write_archives(folder: Path, name: str) -> dict:
    return write_mnist(folder) if name in MNIST_LIKE else write_cifar(folder, name)
