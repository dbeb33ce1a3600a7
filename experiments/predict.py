"""Predicts the classes of image files with the network of a workdir."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments import launch

WORKDIR = flags.DEFINE_string("workdir", None, "Directory of the run.")
CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "auto", ["auto", "last", "best"], "auto: as the run's evaluate.select says."
)
TOP = flags.DEFINE_integer("top", 3, "Classes to print per image.", 1)
INVERT = flags.DEFINE_bool(
    "invert", False, "Invert the images: for dark digits on light paper, as MNIST has it reversed."
)
JSON = flags.DEFINE_bool("json", False, "Print one JSON object per image.")


def main(arguments: Sequence[str]) -> int:
    workdir = launch.existing_workdir(WORKDIR.value)
    if not arguments:
        return launch.refuse("name at least one image file")
    from rich.console import Console
    from rich.table import Table

    from cnnjax.evaluation import predict, trained

    network = trained.load(workdir, CHECKPOINT.value)
    images = [predict.read_image(Path(a), network.shape, INVERT.value) for a in arguments]
    rows = predict.probabilities(network, images)
    count = min(TOP.value, len(network.class_names))
    answers = [predict.top(row, network.class_names, count) for row in rows]
    if JSON.value:
        for file, answer in zip(arguments, answers, strict=True):
            classes = [{"class": name, "probability": p} for name, p in answer]
            print(json.dumps({"image": file, "classes": classes}))
        return 0
    table = Table("image", "class", "probability")
    for file, answer in zip(arguments, answers, strict=True):
        for i, (name, probability) in enumerate(answer):
            table.add_row("" if i else file, name, f"{probability:.2%}".replace("%", " %"))
    Console().print(table)
    return 0


if __name__ == "__main__":
    launch.run(main)
