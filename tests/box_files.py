"""The same few images with boxes in every format that is read."""

import json

import numpy as np
from PIL import Image

SIZE = (40, 60)  # height and width
NAMES = ("cat", "dog")
# split -> image -> (class, left, top, right, bottom), in whole pixels.
CONTENTS = {
    "train": {
        "a.png": [("dog", 0, 0, 20, 10), ("cat", 30, 20, 60, 40)],
        "b.png": [("cat", 5, 5, 15, 25)],
        "c.png": [],
    },
    "test": {"d.png": [("dog", 10, 10, 50, 30)]},
}


def images(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(np.full((*SIZE, 3), 40 * number + 20, np.uint8)).save(folder / name)


def write_coco(path):
    (path / "annotations").mkdir(parents=True)
    for split, contents in CONTENTS.items():
        images(path / split, contents)
        rows = [(i, box) for i, boxes in enumerate(contents.values()) for box in boxes]
        value = {
            "images": [{"id": 10 + i, "file_name": n} for i, n in enumerate(contents)],
            "categories": [{"id": 3 + i, "name": name} for i, name in enumerate(NAMES)],
            "annotations": [
                {"id": number, "image_id": 10 + image, "category_id": 3 + NAMES.index(name),
                 "bbox": [left, top, right - left, bottom - top], "iscrowd": 0}
                for number, (image, (name, left, top, right, bottom)) in enumerate(rows)
            ],
        }  # fmt: skip
        (path / "annotations" / f"instances_{split}.json").write_text(json.dumps(value))
    return path


def write_yolo(path):
    path.mkdir()
    (path / "data.yaml").write_text(f"train: images/train\nnames: {list(NAMES)}\n")
    height, width = SIZE
    for split, contents in CONTENTS.items():
        images(path / "images" / split, contents)
        (path / "labels" / split).mkdir(parents=True)
        for name, boxes in contents.items():
            lines = [
                f"{NAMES.index(label)} {(left + right) / 2 / width} {(top + bottom) / 2 / height} "
                f"{(right - left) / width} {(bottom - top) / height}"
                for label, left, top, right, bottom in boxes
            ]
            text = path / "labels" / split / f"{name[0]}.txt"
            text.write_text("\n".join(lines) + "\n" * bool(lines))
    return path


def write_voc(path):
    (path / "Annotations").mkdir(parents=True)
    (path / "ImageSets" / "Main").mkdir(parents=True)
    for split, contents in CONTENTS.items():
        images(path / "JPEGImages", contents)
        (path / "ImageSets" / "Main" / f"{split}.txt").write_text(
            "".join(f"{name[0]}\n" for name in contents)
        )
        for name, boxes in contents.items():
            objects = "".join(
                f"<object>\n<name>{label}</name><difficult>0</difficult><bndbox><xmin>{left + 1}"
                f"</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox>"
                "\n</object>\n"
                for label, left, top, right, bottom in boxes
            )
            (path / "Annotations" / f"{name[0]}.xml").write_text(
                f"<annotation>\n<filename>{name}</filename>\n<size><width>{SIZE[1]}</width>"
                f"<height>{SIZE[0]}</height><depth>3</depth></size>\n{objects}</annotation>\n"
            )
    return path


def write_csv(path):
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax,split"]
    for split, contents in CONTENTS.items():
        images(path, contents)
        for name, boxes in contents.items():
            for label, *corners in boxes or [("", "", "", "", "")]:
                lines.append(f"{name},60,40,{label},{','.join(map(str, corners))},{split}")
    (path / "boxes.csv").write_text("\n".join(lines) + "\n")
    return path


WRITERS = {"coco": write_coco, "csv": write_csv, "voc": write_voc, "yolo": write_yolo}
