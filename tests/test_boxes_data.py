"""Boxes of one's own, in the formats that people have them in, and what is refused of them."""

import json

import numpy as np
import pytest
from PIL import Image

from cnnjax import data
from cnnjax.data.boxes import FORMATS, boxes
from cnnjax.data.objects import NONE
from cnnjax.errors import InputError
from cnnjax.images import Preprocessing
from tests import box_files


def shown(split):
    """Returns image brightness -> (label, corners in pixels), as a data set has them."""
    height, width = box_files.SIZE
    scale = np.array([width, height] * 2)
    return {
        int(image.ravel()[0]): [
            (int(label), *np.round(box * scale, 3).tolist())
            for box, label in zip(
                split.targets["boxes"][i], split.targets["labels"][i], strict=True
            )
            if label != NONE
        ]
        for i, image in enumerate(split.images)
    }


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_same(name, tmp_path):
    source = boxes(str(box_files.WRITERS[name](tmp_path / "set")))
    assert source.class_names == box_files.NAMES
    for split, contents in box_files.CONTENTS.items():
        expected = {
            40 * i + 20: [(box_files.NAMES.index(label), *corners) for label, *corners in found]
            for i, found in enumerate(contents.values())
        }
        assert shown(getattr(source, split)) == expected
    assert source.train.targets["areas"][0].tolist() == [200, 600]
    assert source.train.targets["size"].tolist() == [[40, 60]] * 3
    dataset = data.load("boxes", path=str(tmp_path / "set"), format=name, validation=0.0)
    assert len(dataset.train) == 3 and dataset.train.targets["boxes"].shape == (3, 2, 4)


def test_boxes_follow_the_way_to_the_size_of_the_network(tmp_path):
    path = str(box_files.write_csv(tmp_path / "set"))

    def first(resize):
        source = boxes(path, preprocessing=Preprocessing((20, 20), resize))
        return source.train.targets["boxes"][0], source.train.targets["size"][0].tolist()

    found, size = first("squash")
    np.testing.assert_allclose(found, [[0, 0, 1 / 3, 0.25], [0.5, 0.5, 1, 1]], atol=1e-6)
    assert size == [40, 60]
    found, size = first("pad")  # ten rows of 60 above, and ten below
    np.testing.assert_allclose(found, [[0, 1 / 6, 1 / 3, 1 / 3], [0.5, 0.5, 1, 5 / 6]], atol=1e-6)
    assert size == [60, 60]
    found, size = first("crop")  # columns 10 to 50: half of the first box is left, two thirds
    np.testing.assert_allclose(found, [[0, 0, 0.25, 0.25], [0.5, 0.5, 1, 1]], atol=1e-6)
    assert size == [40, 40]


def change_coco(change):
    def changed(path):
        file = box_files.write_coco(path) / "annotations" / "instances_train.json"
        value = json.loads(file.read_text())
        change(value)
        file.write_text(json.dumps(value))

    return changed


def replace(write, file, old, new):
    def changed(path):
        target = write(path) / file
        text = target.read_text()
        assert old in text
        target.write_text(text.replace(old, new, 1))

    return changed


COCO, YOLO, VOC, CSV = (box_files.WRITERS[name] for name in ("coco", "yolo", "voc", "csv"))
LABELS, XML = "labels/train/a.txt", "Annotations/a.xml"
REFUSED = {
    "an id twice": (change_coco(lambda v: v["annotations"][1].update(id=0)),
                    r"instances_train.json, annotations\[1\] \(id 0\): the id was given before"),
    "no image of the id": (change_coco(lambda v: v["annotations"][2].update(image_id=77)),
                           r"annotations\[2\] \(id 2\): there is no image with the id 77"),
    "no category": (change_coco(lambda v: v["annotations"][0].update(category_id=9)),
                    "there is no category with the id 9"),
    "image missing": (change_coco(lambda v: v["images"][1].update(file_name="x.png")),
                      r"images\[1\] \(id 11\): the image 'x.png' is not there; looked in"),
    "image twice": (change_coco(lambda v: v["images"][1].update(file_name="a.png")),
                    "the image a.png was named before"),
    "negative width": (change_coco(lambda v: v["annotations"][0].update(bbox=[9, 9, -2, 3])),
                       r"annotations\[0\] \(id 0\): the box 9, 9 to 7, 12 is inverted"),
    "no number": (change_coco(lambda v: v["annotations"][0].update(bbox=[9, "x", 2, 3])),
                  "'bbox' is 'x', which is no number"),
    "another size": (change_coco(lambda v: v["images"][0].update(width=40, height=60)),
                     "its size is given as 40 x 60, and a.png has 60 x 40 pixels"),
    "no JSON": (replace(COCO, "annotations/instances_train.json", "{", "{,"), "line 1: no JSON"),
    "class number": (replace(YOLO, LABELS, "1 ", "7 "),
                     r"a.txt, line 1: unknown class '7'; there are 0 to 1"),
    "an outline": (replace(YOLO, LABELS, "1 ", "1 0.1 0.1 0.2 0.2 "), "line 1: 9 numbers are an"),
    "text without image": (lambda path: (YOLO(path) / "images/train/b.png").unlink(),
                           "b.txt: the image that it belongs to is not there"),
    "outside": (replace(VOC, XML, "<xmax>60", "<xmax>64"),
                r"a.xml, line 7: the box 30, 20 to 64, 40 lies outside of its image of 60 x 40"),
    "empty": (replace(VOC, XML, "<xmin>31", "<xmin>61"), "line 7: the box 60, 20 to 60, 40 is emp"),
    "no XML": (replace(VOC, XML, "</annotation>", ""), "a.xml, line 11: no XML"),
    "an entity": (replace(VOC, XML, "<annotation>", "<!DOCTYPE a><annotation>"), "a document type"),
    "in a list": (replace(VOC, "ImageSets/Main/train.txt", "b", "z"), "line 2: 'z' has no XML"),
    "no class": (replace(CSV, "boxes.csv", ",dog,", ",,"), "boxes.csv, line 2: the class is"),
    "a word": (replace(CSV, "boxes.csv", "30,20", "30,x"), "line 3: top is 'x', which is no num"),
    "a split": (replace(CSV, "boxes.csv", "40,train", "40,tran"), "line 3: split 'tran' is none"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_by_file_and_line(name, tmp_path):
    make, message = REFUSED[name]
    make(tmp_path / "set")
    with pytest.raises(InputError, match=message):
        boxes(str(tmp_path / "set"))


def test_what_is_wrong_can_be_skipped_aloud_and_a_pixel_too_much_is_cut(tmp_path):
    replace(CSV, "boxes.csv", "30,20,60,40", "30,20,65,40")(tmp_path / "set")
    file = tmp_path / "set" / "boxes.csv"
    file.write_text(file.read_text().replace("0,0,20,10", "-0.5,0,20,10"))
    source = boxes(str(tmp_path / "set"), broken="skip")
    assert [len(found) for found in shown(source.train).values()] == [1, 1, 0]
    text = "\n".join(source.notes)
    assert "skipped: " in text and "line 3: the box 30, 20 to 65, 40 lies outside" in text
    assert "1 of 3 boxes reach up to a pixel beyond their image" in text


def test_classes_can_be_given_and_splits_made(tmp_path):
    path = box_files.write_csv(tmp_path / "set")
    assert boxes(str(path), classes=("dog", "cat")).class_names == ("dog", "cat")
    with pytest.raises(InputError, match="line 3: unknown class 'cat'; did you mean cart"):
        boxes(str(path), classes=("dog", "cart"))
    lines = (path / "boxes.csv").read_text().splitlines()
    (path / "boxes.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    source = boxes(str(path), test=0.25)
    assert (len(source.train), len(source.test)) == (3, 1)
    assert "a share of 0.25 of the images is the test split" in source.notes[-1]
    Image.new("RGB", (30, 30)).save(path / "b.png")
    with pytest.raises(InputError, match="holds images of 2 sizes"):
        boxes(str(path))
    with pytest.raises(InputError, match="unknown format of boxes 'kitty'"):
        boxes(str(path), format="kitty")
    with pytest.raises(InputError, match="holds nothing in the format coco"):
        boxes(str(path), format="coco")
    with pytest.raises(InputError, match="data.path is missing"):
        boxes()


def test_difficult_objects_and_crowds_are_ignored(tmp_path):
    replace(VOC, XML, "<difficult>0", "<difficult>1")(tmp_path / "voc")
    source = boxes(str(tmp_path / "voc"))
    assert source.train.targets["crowd"][0].tolist() == [True, False]
    assert "1 difficult objects are neither found nor missed" in source.notes
    change_coco(lambda v: v["annotations"][0].update(iscrowd=1, area=55))(tmp_path / "coco")
    source = boxes(str(tmp_path / "coco"))
    assert source.train.targets["crowd"][0].tolist() == [True, False]
    assert source.train.targets["areas"][0].tolist() == [55, 600]
