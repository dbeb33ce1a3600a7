"""A folder with a trouble of each kind: the check finds them all, and none where there is none."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from cnnjax.data import findings, folders, inspection, sheet
from tests.image_files import exif_block
from tests.test_entry_points import command


def picture(number, side=48):
    """Smooth noise, different for each number."""
    coarse = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def clean(root, classes=("cat", "dog"), images=25):
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(images):
            picture(100 * c + i).save(root / name / f"{i}.png")
    return root


def troubled(root):
    clean(root / "train")
    clean(root / "test", images=5)  # copies of training images: a leak
    train = root / "train"
    picture(3).save(train / "cat" / "again.bmp")
    picture(4).save(train / "dog" / "a_cat.png")
    picture(5).resize((30, 30)).save(train / "cat" / "small.jpg", quality=50)
    (train / "dog" / "[red]cut.png").write_bytes((train / "dog" / "1.png").read_bytes()[:200])
    picture(900).save(train / "dog" / "turned.jpg", exif=exif_block(6))
    picture(901).convert("CMYK").save(train / "dog" / "cmyk.jpg")
    Image.new("RGB", (48, 48), "blue").save(train / "dog" / "blue.png")
    picture(902).convert("RGBA").save(train / "dog" / "clear.png")
    for name, first, count in (("Cat", 300, 2), ("one", 400, 1), ("many", 500, 160)):
        (train / name).mkdir()
        for i in range(count):
            picture(first + i).save(train / name / f"{i}.png")
    frames = [picture(i).convert("P") for i in (903, 904)]
    frames[0].save(train / "dog" / "film.gif", save_all=True, append_images=frames[1:])
    (train / "cat" / "notes.txt").touch()
    (train / "cat" / ".DS_Store").touch()
    (train / "void").mkdir()
    return root


@pytest.fixture(scope="module")
def trouble(tmp_path_factory):
    return troubled(tmp_path_factory.mktemp("trouble"))


def check(root, size=0):
    folder = folders.listed(root)
    return {f.kind: f for f in findings.findings(folder, inspection.inspect(folder), size)}


def test_a_clean_folder_gives_nothing_to_mend(tmp_path):
    assert check(clean(tmp_path)) == {}


def test_each_trouble_is_found_with_its_files(trouble):
    found = check(trouble, size=40)
    groups = {kind: finding.groups for kind, finding in found.items()}
    assert groups["broken"] == (("train/dog/[red]cut.png",),)
    assert "damaged or cut short" in found["broken"].text or "truncated" in found["broken"].text
    assert ("train/cat/4.png", "train/dog/a_cat.png", "test/cat/4.png") in groups[
        "equal, two classes"
    ]
    # 10 images of test, of which one is in two classes, too.
    assert len(groups["equal, two splits"]) == 9
    assert ("train/cat/3.png", "train/cat/again.bmp", "test/cat/3.png") in groups[
        "equal, two splits"
    ]
    assert groups["alike"] == (("train/cat/5.png", "train/cat/small.jpg"),)
    assert groups["small"] == (("train/cat/small.jpg",),)
    assert groups["turned"] == (("train/dog/turned.jpg",),)
    assert groups["transparent"] == (("train/dog/clear.png",),)
    assert groups["flat"] == (("train/dog/blue.png",),)
    assert groups["animated"] == (("train/dog/film.gif",),)
    assert "CMYK 1" in found["modes"].text
    assert found["too few"].text == "classes of a single image: one"
    assert "Cat 2" in found["few"].text
    assert found["spelling"].text == "classes that differ by case only: Cat, cat"
    assert "the largest class has 160 times" in found["imbalance"].text
    assert (
        found["not stratified"].text
        == "test has Cat 0, expected 0.1, many 0, expected 6.9, one 0, expected 0.0"
    )
    severe = {kind for kind, finding in found.items() if finding.severe}
    assert severe == {"broken", "equal, two classes", "equal, two splits", "too few"}


def test_copies_are_told_from_images_that_only_resemble():
    def seen(pixels):
        look = inspection.look(pixels)
        return inspection.Seen(None, "", "train", 0, digest=pixels.tobytes(), look=look)

    original = np.asarray(picture(1, 96))
    stream = io.BytesIO()
    Image.fromarray(original).save(stream, "JPEG", quality=30)
    copies = [
        np.asarray(Image.open(stream)),
        np.asarray(picture(1, 96).resize((50, 50))),
        (original * 0.8).astype(np.uint8),
        original.mean(-1, keepdims=True).astype(np.uint8),
    ]
    others = [np.asarray(picture(n, 96)) for n in range(2, 60)]
    flat = [np.full((20, 20, 3), n, np.uint8) for n in (0, 9)]
    rows = [seen(pixels) for pixels in (original, *copies, *others, *flat)]
    pairs = inspection.near_pairs(rows, findings.ALIKE, block=7)
    assert {i for pair in pairs for i in pair} == {0, 1, 2, 3, 4}
    assert findings.grouped(pairs) == [[0, 1, 2, 3, 4]]
    assert findings.grouped([(1, 2), (3, 4), (2, 3), (7, 8)]) == [[1, 2, 3, 4], [7, 8]]


def test_sizes_that_differ_need_a_size(trouble):
    assert "training needs data.image_size" in check(trouble)["sizes"].text


def test_the_sheet_shows_the_suspects(trouble):
    folder = folders.listed(trouble)
    seen = inspection.inspect(folder)
    found = findings.findings(folder, seen)
    drawn = sheet.sheet(found, {one.name: one.file for one in seen})
    colours = {pixel for _, pixel in drawn.getcolors(2**24)}
    assert (0xCC, 0x33, 0x11) in colours and (0, 0, 255) in colours  # the broken, the blue one
    assert sheet.sheet([findings.Finding("x", False, "y", (("no image",),))], {}) is None


def test_groups_are_kept_together_in_a_line():
    groups = [("a",) * 5, ("b",) * 4, ("c",), ("d",) * 8]
    assert sheet.lines_of(groups) == [[groups[0]], [groups[1], groups[2]], [groups[3]]]


def pixels_of(file):
    with Image.open(file) as opened:
        return np.asarray(opened)


def test_the_command_ends_with_1_where_something_must_be_mended(trouble, tmp_path):
    picture = tmp_path / "sheet.png"
    done = command("check_data", trouble, "--json", f"--contact_sheet={picture}")
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert answer["mend"] and {f["kind"] for f in answer["findings"]} >= {"broken", "few"}
    assert answer["counts"]["test"] == [0, 5, 5, 0, 0]
    assert answer["turned_by_exif"] == 1 and answer["modes"]["CMYK"] == 1
    assert pixels_of(picture).shape[1] > 500


def test_the_command_prints_a_table_of_a_clean_folder(tmp_path):
    done = command("check_data", clean(tmp_path / "[bold]set", ("[red]cat", ":smile:")))
    assert done.returncode == 0, done.stderr
    assert "[bold]set" in done.stdout and "[red]cat" in done.stdout and ":smile:" in done.stdout
    assert "nothing to mend" in done.stdout


def test_a_network_that_takes_no_such_images_must_be_mended(tmp_path):
    clean(tmp_path / "set")
    vgg = ("--config=configs/imagenet.py:vgg16", "--config.data.name=digits")
    done = command("check_data", tmp_path / "set", *vgg, "--config.data.image_size=20")
    assert done.returncode == 1 and "network" in done.stdout
    assert command("check_data").returncode == 2
    assert command("check_data", tmp_path / "none").returncode == 2
