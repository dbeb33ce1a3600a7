"""What lies in a folder: classes, splits, and what is passed over, aloud."""

import os
import re

import pytest

from cnnjax.data import folders
from cnnjax.errors import InputError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def names(folder, split="train"):
    files = folder.splits[split].files
    return [str(file.relative_to(folder.path)) for file in files]


def test_a_directory_is_a_class_in_natural_order(tmp_path):
    touch(tmp_path, "10/a.png", "2/b10.png", "2/b9.PNG", "1/deep/er/c.JPeG", "B/x.gif", "a/x.tif")
    folder = folders.listed(tmp_path)
    assert folder.class_names == ("1", "2", "10", "a", "B")
    assert names(folder) == [
        "1/deep/er/c.JPeG", "2/b9.PNG", "2/b10.png", "10/a.png", "a/x.tif", "B/x.gif"
    ]  # fmt: skip
    assert folder.splits["train"].labels == (0, 1, 1, 2, 3, 4)
    assert "0 1, 1 2, 2 10" in folders.described(folder)[0]


def test_the_order_may_be_given(tmp_path):
    touch(tmp_path, "1/a.png", "2/a.png")
    assert folders.listed(tmp_path, ("2", "1")).splits["train"].labels == (0, 1)
    assert folders.listed(tmp_path, ("2", "1")).class_names == ("2", "1")
    for given, words in (
        (("2",), "lacks '1'"),
        (("2", "1", "3"), "no images of '3'"),
        (("1", "2", "2"), "names a class twice"),
    ):
        with pytest.raises(InputError, match=words):
            folders.listed(tmp_path, given)


def test_directories_of_splits_are_told_from_classes(tmp_path):
    touch(tmp_path / "split", "Train/a/1.png", "Train/b/1.png", "val/a/2.png", "test/b/3.png")
    folder = folders.listed(tmp_path / "split")
    assert {s: len(e) for s, e in folder.splits.items()} == {
        "train": 2, "validation": 1, "test": 1
    }  # fmt: skip
    assert folder.splits["test"].labels == (1,)
    # A train is a vehicle, too.
    touch(tmp_path / "vehicles", "car/1.png", "train/1.png", "ship/1.png")
    assert folders.listed(tmp_path / "vehicles").class_names == ("car", "ship", "train")
    touch(tmp_path / "split", "more/a/9.png")
    with pytest.raises(InputError, match="and also more, which is none of train"):
        folders.listed(tmp_path / "split")
    touch(tmp_path / "twice", "train/a/1.png", "val/a/1.png", "validation/a/1.png")
    with pytest.raises(InputError, match="val and validation: which of them is validation"):
        folders.listed(tmp_path / "twice")


def test_a_test_directory_without_classes_is_left_aside_aloud(tmp_path):
    touch(tmp_path, "train/a/1.png", "train/b/1.png", "test/1.png")
    folder = folders.listed(tmp_path)
    assert set(folder.splits) == {"train"}
    assert "the test directory has no classes" in folders.described(folder)[-1]


def test_a_class_that_train_lacks_is_refused(tmp_path):
    touch(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/cats/1.png")
    with pytest.raises(InputError, match="no images of 'cats' in train; did you mean cat"):
        folders.listed(tmp_path)


def test_an_archive_unpacked_into_its_own_name_is_entered(tmp_path):
    touch(tmp_path, "flowers/rose/1.png", "flowers/lily/1.png", "__MACOSX/flowers/._x.png")
    folder = folders.listed(tmp_path)
    assert folder.class_names == ("lily", "rose")
    assert "flowers is taken for it" in folder.notes[0]


def test_what_is_no_example_is_passed_over_aloud(tmp_path):
    touch(
        tmp_path, "a/1.png", "a/.DS_Store", "a/Thumbs.db", "a/._1.png", "a/notes.TXT", "a/README",
        ".ipynb_checkpoints/1.png", "b/1.png", "loose.png", "b/__MACOSX/2.png",
    )  # fmt: skip
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "a" / "dangling.png").symlink_to(tmp_path / "none.png")
    folder = folders.listed(tmp_path)
    assert names(folder) == ["a/1.png", "b/1.png"]
    assert {why: sorted(passed) for why, passed in folder.passed_over.items()} == {
        "hidden or left by a system": [
            ".ipynb_checkpoints", "a/.DS_Store", "a/._1.png", "a/Thumbs.db", "b/__MACOSX"
        ],
        "no image by their ending (.txt)": ["a/notes.TXT"],
        "no image by their ending (no ending)": ["a/README"],
        "neither file nor directory": ["a/dangling.png", "a/pipe.png"],
        "directories without images": ["empty"],
        "in no class": ["loose.png"],
    }  # fmt: skip
    said = "\n".join(folders.described(folder))
    assert "passed over, no image by their ending (.txt): 1 (a/notes.TXT)" in said


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "elsewhere/1.png", "set/a/1.png", "set/b/1.png")
    (tmp_path / "set" / "a" / "up").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "c").symlink_to(tmp_path / "elsewhere")
    folder = folders.listed(tmp_path / "set")
    assert folder.class_names == ("a", "b", "c")
    assert names(folder).count("c/1.png") == 1 and len(folder) < 10
    assert folder.passed_over["links that lead in a circle"]


def test_names_that_are_no_utf8_can_be_printed_and_stored(tmp_path):
    odd = os.fsdecode(b"caf\xe9")
    touch(tmp_path, f"{odd}/1.png", "b/1.png")
    folder = folders.listed(tmp_path)
    assert folder.class_names == ("b", r"caf\xe9")
    "\n".join(folders.described(folder)).encode("ascii")
    assert all(file.exists() for file in folder.splits["train"].files)


def test_a_name_spelt_in_two_ways_of_unicode_is_one_class(tmp_path):
    composed, parts = "caf\u00e9", "cafe\u0301"
    touch(tmp_path, f"train/{composed}/1.png", "train/b/1.png", f"test/{parts}/1.png")
    folder = folders.listed(tmp_path)
    assert folder.class_names == ("b", composed) and folder.splits["test"].labels == (1,)
    touch(tmp_path, f"train/{parts}/1.png")
    with pytest.raises(InputError, match="spelt in two ways"):
        folders.listed(tmp_path)


@pytest.mark.parametrize(
    ("made", "asked", "words"),
    [
        ([], "none", "none does not exist"),
        (["x/1.png"], "x", "no directory of a class; expected is a directory per class"),
        (["x/a/b.txt"], "x", "holds no images; expected"),
        (["x.zip"], "x.zip", "x.zip is a file; expected"),
    ],
)
def test_what_is_no_set_is_refused_with_what_would_be(tmp_path, made, asked, words):
    touch(tmp_path, *made)
    with pytest.raises(InputError, match=words):
        folders.listed(tmp_path / asked)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("head", [("Label", "FILENAME", "note", "Split"), ()])
def test_a_table_names_files_and_labels(tmp_path, separator, head):
    touch(tmp_path, "i/1.png", "i/2.png", "i/3.png")
    rows = [("i/1.png", "10", "train"), ("i/2.png", "9", "train"), ("i/3.png", "9", "val")]
    if head:
        rows = [head, *((label, file, "", split) for file, label, split in rows)]
    text = "\ufeff" + "\r\n".join(separator.join(row) for row in rows) + "\r\n\r\n"
    (tmp_path / "labels.csv").write_bytes(text.encode())
    folder = folders.listed(tmp_path / "labels.csv")
    assert folder.class_names == ("9", "10")
    assert folder.splits["train"].labels == (1, 0) and folder.splits["validation"].labels == (0,)
    assert folder.splits["validation"].files == (tmp_path / "i/3.png",)
    assert folders.listed(tmp_path / "labels.csv", ("10", "9")).splits["train"].labels == (0, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a,b\n1.png,x\n", "needs the columns file and label"),
        ("file,label\n1.png,x\n9.png,y\n", "1 of 2 files do not exist .*, 9.png among them"),
        ("file,label\n1.png,\n", "line 2: a file or its label is missing"),
        ("file,label\n1.png,x\n1.png,y\n", "names 1.png twice, with two labels"),
        ("file,label,split\n1.png,x,fold1\n", "line 2: split 'fold1' is none of"),
        ("file,label,split\n1.png,x,test\n", "names no training images"),
        ("file,label,split\n1.png,x,train\n2.png,y,test\n", "'y' has no images in train"),
    ],
)
def test_a_table_that_does_not_hold_is_refused(tmp_path, text, words):
    touch(tmp_path, "1.png", "2.png")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        folders.listed(tmp_path / "t.csv")


def test_images_of_an_unlabelled_folder_are_found(tmp_path):
    touch(tmp_path, "10.jpg", "9.jpg", "sub/1.png", "x.txt", ".hidden/1.png")
    found, passed = folders.images_under(tmp_path)
    assert [str(p.relative_to(tmp_path)) for p in found] == ["9.jpg", "10.jpg", "sub/1.png"]
    assert re.search("no image by their ending", " ".join(passed))
