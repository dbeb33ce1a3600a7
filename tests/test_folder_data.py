"""The data set `folder`: the same examples, networks and answers as from anywhere else."""

import csv
import dataclasses

import numpy as np
import pytest
from PIL import Image

from cnnjax import data
from cnnjax.data import folder as folder_module
from cnnjax.data import sources
from cnnjax.data.dataset import Source
from cnnjax.errors import InputError
from cnnjax.evaluation import trained
from cnnjax.train import feed, run, stop
from tests import tiny
from tests.image_files import exif_block
from tests.test_resume import send


def folder_config(path, **changes):
    config = tiny.config(data__name="folder", data__path=str(path), **changes)
    del config.data.examples, config.data.size
    return config


def of_classes(root, *counts, size=(10, 10), seed=0):
    """Writes a directory per class, whose images are brighter from class to class."""
    generator = np.random.default_rng(seed)
    for label, count in enumerate(counts):
        (root / f"class{label}").mkdir(parents=True)
        for i in range(count):
            noise = generator.integers(0, 60, (*size, 3))
            pixels = (noise + 190 * label // max(1, len(counts) - 1)).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"class{label}" / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return of_classes(tmp_path_factory.mktemp("set"), 30, 24)


def test_a_folder_is_a_data_set(classes):
    dataset = data.load("folder", path=str(classes), validation=0.25)
    sizes = [len(s) for s in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [32, 11, 11] and dataset.shape == (10, 10, 3)
    assert dataset.class_names == ("class0", "class1")
    bright = dataset.train.images.mean((1, 2, 3)) > 128
    np.testing.assert_array_equal(bright, dataset.train.targets["label"])
    assert "0 class0, 1 class1" in dataset.notes[0]
    assert any("a share of 0.2" in note for note in dataset.notes)
    other = data.load("folder", path=str(classes), validation=0.25, seed=1)
    np.testing.assert_array_equal(other.test.images, dataset.test.images)


def test_streamed_images_are_those_in_memory(classes):
    options = {"path": str(classes), "image_size": 8, "resize": "crop"}
    here = data.load("folder", **options)
    there = data.load("folder", stream="yes", **options)
    assert isinstance(there.train.images, data.Files)
    assert (there.mean, there.std, there.shape) == (here.mean, here.std, here.shape)
    for name in ("train", "validation", "test"):
        ours, theirs = getattr(here, name), getattr(there, name)
        np.testing.assert_array_equal(ours.images, np.asarray(theirs.images))
        np.testing.assert_array_equal(ours.targets["label"], theirs.targets["label"])
    assert folder_module.memory() > 1e8


def test_what_would_fill_the_memory_is_streamed(classes, monkeypatch):
    monkeypatch.setattr(folder_module, "memory", lambda: 4 * 54 * 300 - 1)
    dataset = data.load("folder", path=str(classes))
    assert isinstance(dataset.train.images, data.Files)
    assert "streamed from disk" in dataset.notes[-1]
    monkeypatch.setattr(folder_module, "memory", lambda: 4 * 54 * 300)
    assert isinstance(data.load("folder", path=str(classes)).train.images, np.ndarray)


@pytest.fixture(scope="module")
def in_memory(classes, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "in_memory"
    return run.run(folder_config(classes), workdir), tiny.metrics(workdir)


def test_a_streamed_run_ends_in_the_same_bits(classes, in_memory, tmp_path):
    result = run.run(folder_config(classes, data__stream="yes"), tmp_path)
    assert result["params_sha256"] == in_memory[0]["params_sha256"]
    assert result["test_loss"] == in_memory[0]["test_loss"]
    assert tiny.metrics(tmp_path) == in_memory[1]


def test_a_streamed_run_that_was_stopped_ends_in_the_same_bits(
    classes, in_memory, tmp_path, monkeypatch
):
    config = folder_config(classes, data__stream="yes", data__resident="no")
    original, seen = data.ahead, []

    def ahead(files, places, processes):
        images = original(files, places, processes)

        def images_of(step):
            seen.append(step)
            if step == 9 and 9 not in seen[:-1]:
                send(15)()
            return images(step)

        return images_of

    monkeypatch.setattr(data, "ahead", ahead)
    with pytest.raises(stop.Stopped):
        run.run(config, tmp_path)
    result = run.run(config, tmp_path)
    # Step 0 is asked for at each start, for its shapes.
    assert seen == [0, *range(10), 0, *range(10, len(seen) - 2)]
    assert result["params_sha256"] == in_memory[0]["params_sha256"]
    assert tiny.metrics(tmp_path) == in_memory[1]


def test_a_folder_of_mnist_trains_to_the_bits_of_the_tfds_set(shared, tmp_path, monkeypatch):
    whole = data.load("mnist", str(shared / "tfds"), validation=0.0)
    part = {"train": whole.train.take(slice(300)), "test": whole.test.take(slice(60))}
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "split"])
        for split, examples in part.items():
            for i, pixels in enumerate(examples.images):
                Image.fromarray(pixels[..., 0]).save(tmp_path / f"{split}{i}.png")
                writer.writerow([f"{split}{i}.png", examples.targets["label"][i], split])
    source = Source(part["train"], part["test"], tuple("0123456789"))
    monkeypatch.setitem(sources.DATASETS, "part", lambda: source)
    theirs = folder_config("", epochs=1.0, batch_size=32)
    theirs.data.name = "part"
    del theirs.data.path
    expected = run.run(theirs, tmp_path / "theirs")
    ours = folder_config(tmp_path / "labels.csv", epochs=1.0, batch_size=32)
    result = run.run(ours, tmp_path / "ours")
    assert result["params_sha256"] == expected["params_sha256"]
    assert result["test_loss"] == expected["test_loss"]


def test_a_broken_image_stops_or_is_skipped_and_named(tmp_path):
    of_classes(tmp_path, 6, 6)
    (tmp_path / "class1" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 30)
    (tmp_path / "class0" / "cut.png").write_bytes(
        (tmp_path / "class0" / "0.png").read_bytes()[:-60]
    )
    for stream in ("yes", "no"):
        options = {"path": str(tmp_path), "stream": stream}
        if stream == "no":
            with pytest.raises(InputError, match=r"2 of 14 images cannot be read: .*broken=skip"):
                data.load("folder", **options)
        dataset = data.load("folder", broken="skip", validation=0.0, **options)
        assert len(dataset.train) + len(dataset.test) == 12
        (note,) = [n for n in dataset.notes if n.startswith("skipped: 2 of 14")]
        assert "torn.png is not an image" in note and "cut.png is not an image" in note
    # On disk only headers have been read: the other is named when its turn comes.
    with pytest.raises(InputError, match=r"1 of 14 images cannot be read: .*torn\.png"):
        data.load("folder", path=str(tmp_path), stream="yes")
    for file in (tmp_path / "class0").iterdir():
        file.write_bytes(b"")
    with pytest.raises(InputError, match="No image of 'class0' is left"):
        data.load("folder", path=str(tmp_path), broken="skip")


def test_a_broken_image_that_is_met_in_training_is_named(tmp_path):
    of_classes(tmp_path, 30, 24)
    file = tmp_path / "class0" / "7.png"
    file.write_bytes(file.read_bytes()[:-60])
    config = folder_config(tmp_path, data__stream="yes")
    with pytest.raises(InputError, match=r"7\.png is not an image that can be read"):
        run.run(config, tmp_path / "run")


def test_channels_and_sizes_are_those_of_the_files(tmp_path):
    of_classes(tmp_path, 3, 3, size=(8, 12))
    assert data.load("folder", path=str(tmp_path), test=0.4, validation=0.0).shape == (8, 12, 3)
    assert data.load("folder", path=str(tmp_path), test=0.4, validation=0.0, channels=1).shape == (
        8,
        12,
        1,
    )
    for file in tmp_path.rglob("*.png"):
        with Image.open(file) as image:
            grey = image.convert("L").transpose(Image.Transpose.ROTATE_90)
        grey.save(file.with_suffix(".tif"), exif=exif_block(6))  # upright 8 x 12 again
        file.unlink()
    assert data.load("folder", path=str(tmp_path), test=0.4, validation=0.0).shape == (8, 12, 1)
    Image.new("L", (9, 9)).save(tmp_path / "class0" / "other.png")
    with pytest.raises(InputError, match="2 sizes, most often 8 x 12: give them one size with"):
        data.load("folder", path=str(tmp_path))
    assert data.load(
        "folder", path=str(tmp_path), test=0.4, validation=0.0, image_size=6
    ).shape == (6, 6, 1)


def test_splits_of_the_folder_are_used(tmp_path):
    for split, count in (("train", 9), ("val", 4), ("test", 3)):
        of_classes(tmp_path / split, count, count, seed=count)
    dataset = data.load("folder", path=str(tmp_path), validation=0.5)
    sizes = [len(s) for s in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [18, 8, 6]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "data.path is missing"),
        ({"path": "SET", "broken": "ignore"}, "data.broken is 'ignore'; known: stop, skip"),
        ({"path": "SET", "stream": "maybe"}, "data.stream is 'maybe'"),
        ({"path": "SET", "test": 1.0}, r"data.test must lie in \[0, 1\)"),
        ({"path": "SET", "clases": ("a",)}, "no field 'clases'; did you mean classes"),
        ({"path": "SET", "preprocessing": 1}, "no field 'preprocessing'"),
    ],
)
def test_what_makes_no_sense_is_refused(classes, options, words):
    options = {k: str(classes) if v == "SET" else v for k, v in options.items()}
    with pytest.raises(InputError, match=words):
        data.load("folder", **options)


def test_balanced_sampling_draws_small_classes_as_often(tmp_path):
    of_classes(tmp_path, 60, 10)
    config = folder_config(tmp_path, data__sampling="balanced").to_dict()
    split = trained.load_data(config).train
    order = feed.order_of(config, split)
    drawn = [data.batch_indices(len(split), 0, step, 8, order) for step in range(40)]
    counts = np.bincount(split.targets["label"][np.concatenate(drawn)])
    assert abs(counts[0] - counts[1]) <= 8
    unlabelled = dataclasses.replace(split, targets={})
    with pytest.raises(InputError, match="balanced needs classes"):
        feed.order_of(config, unlabelled)
