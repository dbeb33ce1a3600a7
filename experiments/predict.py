"""Says what the network of a workdir finds in image files, or draws it into --output."""

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
TOP = flags.DEFINE_integer("top", 3, "Classes or other findings to print per image.", 1)
INVERT = flags.DEFINE_bool(
    "invert", False, "Invert the images: for dark digits on light paper, as MNIST has it reversed."
)
OUTPUT = flags.DEFINE_string("output", None, "Directory for a picture of each prediction, as PNG.")
JSON = flags.DEFINE_bool("json", False, "Print one JSON object per image.")


def main(arguments: Sequence[str]) -> int:
    workdir = launch.existing_workdir(WORKDIR.value)
    if not arguments:
        return launch.refuse("name at least one image file")
    from rich.console import Console
    from rich.table import Table

    from cnnjax.evaluation import predict, trained
    from cnnjax.tasks import shown

    network = trained.load(workdir, CHECKPOINT.value)
    images = [predict.read_image(Path(a), network.shape, INVERT.value) for a in arguments]
    task = network.task
    seen = predict.in_pictures(network, arguments, predict.predictions(network, images))
    answers = [task.findings(one.prediction, one.facts)[: TOP.value] for one in seen]
    if OUTPUT.value:
        predict.write_pictures(Path(OUTPUT.value), arguments, seen, task)
    if JSON.value:
        for file, answer in zip(arguments, answers, strict=True):
            print(json.dumps({"image": file, task.finds: answer}))
        return 0
    table = Table("image", *task.columns)
    for file, answer in zip(arguments, answers, strict=True):
        for i, finding in enumerate(answer or [{}]):
            cells = (shown(finding[name], unit) for name, unit in task.columns.items() if finding)
            table.add_row("" if i else file, *cells)
    Console().print(table)
    return 0


if __name__ == "__main__":
    launch.run(main)
