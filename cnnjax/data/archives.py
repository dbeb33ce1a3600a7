"""The original archives of the MNIST family and of CIFAR, read with numpy.

IDX, gzipped (http://yann.lecun.com/exdb/mnist): two zero bytes, a type code, the number of
dimensions, their sizes as big-endian uint32, then the values. CIFAR, the binary version
(https://www.cs.toronto.edu/~kriz/cifar.html): a record is one byte per label, then 3072 bytes of
pixels, channel by channel. Nothing is unpickled, and nothing is unpacked to disk: a hostile archive
can make a read fail, not write a file. Every flaw is an `InputError` that names the file.

File names, sizes, sha256 and first addresses are those of tensorflow-datasets 4.9.10,
url_checksums/{mnist,fashion_mnist,kmnist,cifar10,cifar100}.txt. Second addresses: torchvision's
mirror of MNIST (torchvision/datasets/mnist.py), the repository of Fashion-MNIST itself
(github.com/zalandoresearch/fashion-mnist), and the https side of KMNIST's host.
"""

from __future__ import annotations

import dataclasses
import gzip
import math
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cnnjax.data.download import Archive
from cnnjax.errors import InputError

UNSIGNED_BYTE = 0x08  # the type code of IDX for uint8
CIFAR_SHAPE = (3, 32, 32)
DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError)
# Deflate cannot shrink by more than 1032 (https://www.zlib.net/zlib_tech.html), so a header that
# announces more than that is refused before the memory for it is taken.
LARGEST_EXPANSION = 1032


@dataclasses.dataclass(frozen=True)
class Examples:
    """Images, uint8 (n, height, width, channels), and uint8 labels (n,) by feature name."""

    images: np.ndarray
    labels: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.images)


@dataclasses.dataclass(frozen=True)
class Contents:
    """What the archives of a data set hold: examples by split, class names by label feature.

    A feature whose names the archives do not carry is absent from `class_names`.
    """

    splits: Mapping[str, Examples]
    class_names: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A data set by its TFDS name: its original archives and the function that reads them."""

    name: str
    archives: tuple[Archive, ...]
    read: Callable[[Mapping[str, Path]], Contents]


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Reads a gzipped IDX file of uint8 with that many dimensions."""
    header = struct.Struct(f">HBB{dimensions}I")
    try:
        with gzip.open(path, "rb") as stream:
            head = stream.read(header.size)
            if len(head) < header.size:
                raise EOFError
            zero, code, found, *shape = header.unpack(head)
            if (zero, code, found) != (0, UNSIGNED_BYTE, dimensions):
                raise InputError(
                    f"{path} is no IDX file of uint8 with {dimensions} dimensions: it starts with"
                    f" {head[:4].hex()}, not {struct.pack('>HBB', 0, 8, dimensions).hex()}"
                )
            size = math.prod(shape)
            if size > LARGEST_EXPANSION * path.stat().st_size:
                raise EOFError
            body = stream.read(size + 1)
    except DAMAGE as error:
        raise InputError(f"{path} is truncated or damaged{_detail(error)}") from error
    if len(body) != size:
        more = "more than" if len(body) > size else f"{len(body):,} of"
        raise InputError(f"{path} holds {more} the {size:,} values that its header announces")
    return np.frombuffer(body, np.uint8).reshape(shape)


def read_mnist_like(files: Mapping[str, Path]) -> Contents:
    """Reads the four files of MNIST, Fashion-MNIST or KMNIST, found by their original names."""
    splits = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images_path = files[f"{prefix}-images-idx3-ubyte.gz"]
        labels_path = files[f"{prefix}-labels-idx1-ubyte.gz"]
        images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
        if images.shape[1:] != (28, 28):
            raise InputError(f"{images_path} holds images of {images.shape[1:]}, not of (28, 28)")
        if len(images) != len(labels):
            raise InputError(
                f"{images_path} holds {len(images):,} images, {labels_path} {len(labels):,} labels"
            )
        splits[split] = Examples(images[..., None], {"label": labels})
        _check_labels(labels_path, splits[split], {"label": 10})
    return Contents(splits)


def read_cifar10(files: Mapping[str, Path]) -> Contents:
    """Reads cifar-10-binary.tar.gz: five training batches, one test batch, ten names."""
    batches = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
    return _read_cifar(
        files["cifar-10-binary.tar.gz"],
        folder="cifar-10-batches-bin",
        splits={"train": batches, "test": ("test_batch.bin",)},
        names={"label": "batches.meta.txt"},
        classes={"label": 10},
    )


def read_cifar100(files: Mapping[str, Path]) -> Contents:
    """Reads cifar-100-binary.tar.gz, whose records hold the coarse label before the fine one."""
    return _read_cifar(
        files["cifar-100-binary.tar.gz"],
        folder="cifar-100-binary",
        splits={"train": ("train.bin",), "test": ("test.bin",)},
        names={"coarse_label": "coarse_label_names.txt", "label": "fine_label_names.txt"},
        classes={"coarse_label": 20, "label": 100},
    )


def _read_cifar(
    path: Path,
    folder: str,
    splits: Mapping[str, Sequence[str]],
    names: Mapping[str, str],
    classes: Mapping[str, int],
) -> Contents:
    """Reads records whose labels stand in the order of `classes`; names come from text files."""
    wanted = [file for group in (*splits.values(), tuple(names.values())) for file in group]
    members = _read_members(path, [f"{folder}/{file}" for file in wanted])
    class_names = {}
    for feature, file in names.items():
        text = members[f"{folder}/{file}"].decode("utf-8", errors="replace")
        class_names[feature] = [line.strip() for line in text.splitlines() if line.strip()]
        if len(class_names[feature]) != classes[feature]:
            raise InputError(
                f"{path}: {file} names {len(class_names[feature])} classes, not {classes[feature]}"
            )
    record = len(classes) + math.prod(CIFAR_SHAPE)
    examples = {}
    for split, group in splits.items():
        for file in group:
            if len(members[f"{folder}/{file}"]) % record:
                raise InputError(f"{path}: {file} is no whole number of records of {record} bytes")
        data = b"".join(members.pop(f"{folder}/{file}") for file in group)
        rows = np.frombuffer(data, np.uint8).reshape(-1, record)
        pixels = rows[:, len(classes) :].reshape(-1, *CIFAR_SHAPE)
        labels = {feature: rows[:, i] for i, feature in enumerate(classes)}
        examples[split] = Examples(pixels.transpose(0, 2, 3, 1), labels)
        _check_labels(path, examples[split], classes)
    return Contents(examples, class_names)


def _read_members(path: Path, wanted: Sequence[str]) -> dict[str, bytes]:
    """Reads the wanted regular files of a .tar.gz; links, devices and everything else are skipped.

    A member is read into memory only, by its exact name, so a path such as ``../x`` leads nowhere.
    """
    found = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name in wanted and member.isreg():
                    stream = archive.extractfile(member)
                    found[name] = stream.read() if stream else b""
                    if len(found[name]) != member.size:
                        raise EOFError
    except DAMAGE as error:
        raise InputError(f"{path} is truncated or damaged{_detail(error)}") from error
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}: is it truncated or another archive?")
    return found


def _check_labels(path: Path, examples: Examples, classes: Mapping[str, int]) -> None:
    if not len(examples):
        raise InputError(f"{path} holds no examples")
    for feature, count in classes.items():
        largest = int(examples.labels[feature].max())
        if largest >= count:
            raise InputError(
                f"{path}: {feature} {largest} is outside 0 to {count - 1}: is it another data set?"
            )


def _detail(error: BaseException) -> str:
    return f" ({error})" if str(error) else ""


def _idx_archives(addresses: Sequence[str], *rows: tuple[str, int, str]) -> tuple[Archive, ...]:
    return tuple(
        Archive(f"{stem}-ubyte.gz", size, sha, tuple(f"{at}{stem}-ubyte.gz" for at in addresses))
        for stem, size, sha in rows
    )


def _cifar_archive(name: str, size: int, sha: str) -> tuple[Archive, ...]:
    return (Archive(name, size, sha, (f"https://www.cs.toronto.edu/~kriz/{name}",)),)


# fmt: off
RECIPES = {recipe.name: recipe for recipe in (
    Recipe("mnist", _idx_archives(
        (
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        ("train-images-idx3", 9_912_422,
         "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        ("train-labels-idx1", 28_881,
         "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        ("t10k-images-idx3", 1_648_877,
         "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        ("t10k-labels-idx1", 4_542,
         "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ), read_mnist_like),
    Recipe("fashion_mnist", _idx_archives(
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        ("train-images-idx3", 26_421_880,
         "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        ("train-labels-idx1", 29_515,
         "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        ("t10k-images-idx3", 4_422_102,
         "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        ("t10k-labels-idx1", 5_148,
         "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ), read_mnist_like),
    Recipe("kmnist", _idx_archives(
        (
            "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
            "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        ),
        ("train-images-idx3", 18_165_135,
         "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
        ("train-labels-idx1", 29_497,
         "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
        ("t10k-images-idx3", 3_041_136,
         "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
        ("t10k-labels-idx1", 5_120,
         "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
    ), read_mnist_like),
    Recipe("cifar10", _cifar_archive(
        "cifar-10-binary.tar.gz", 170_052_171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ), read_cifar10),
    Recipe("cifar100", _cifar_archive(
        "cifar-100-binary.tar.gz", 168_513_733,
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ), read_cifar100),
)}
# fmt: on
