"""Evaluates a trained network, of a run (finished or still going) or of a file of weights.

python -m experiments.evaluate --workdir=runs/digits --split=validation --json
python -m experiments.evaluate --weights=digits.safetensors --data=digits
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absl import flags

from cnnjax import paths
from cnnjax.errors import InputError
from experiments import launch, networks, printed, processes

SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "What to evaluate on.")
DATA = flags.DEFINE_string("data", None, "With --weights: a data set's name, or a folder's path.")
BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "Examples per step, instead of the run's evaluate.batch_size.", 1
)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS sets are, if not where they were.")
JSON = flags.DEFINE_bool("json", False, "Print one JSON object.")


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    if DATA_DIR.value and not paths.expanded(DATA_DIR.value).is_dir():
        raise InputError(f"--data_dir={DATA_DIR.value} is no folder: give the one of the TFDS sets")
    processes.join()
    from rich.table import Table

    from cnnjax import config, parallel, tasks
    from cnnjax.data.folders import printable
    from cnnjax.evaluation import trained
    from cnnjax.evaluation.evaluate import summer
    from cnnjax.workdir import files

    network = networks.trained()
    if DATA.value and network.config:
        raise InputError("--data is for --weights: a run knows its data")
    if network.config or not DATA.value:
        dataset = trained.stored_data(network.config, DATA_DIR.value)
    else:
        dataset = trained.data_for(network, DATA.value, DATA_DIR.value)
    trained.check_data(network, dataset)
    split = getattr(dataset, SPLIT.value)
    mapper = parallel.mapper()
    own: Any = network.config or config.default()
    size = BATCH_SIZE.value or own["evaluate"]["batch_size"]
    summed = summer(network.task, network.module, network.preprocess, mapper, size)
    values = summed(mapper.replicate(network.variables), split)
    if not values:
        return launch.refuse(f"the {SPLIT.value} split of this run has no examples")
    result = {
        "split": SPLIT.value,
        "step": network.step,
        **tasks.report(network.task, values, gathered=True),
        "examples": int(values["count"]),
    }
    classes = tasks.of_classes(network.task, values, network.facts)
    if JSON.value:
        print(files.as_json(result | ({"classes": classes} if classes else {})))
        return 0
    units = tasks.units(network.task)
    loss = f"loss ({units.pop('loss')})".replace(" ()", "")
    table = Table("split", "step", "examples", loss, *(n.replace("_", " ") for n in units))
    table.add_row(
        SPLIT.value,
        f"{network.step:,}",
        f"{result['examples']:,}",
        f"{result['loss']:.5f}",
        *(tasks.shown(result[name], unit) for name, unit in units.items()),
    )
    printed.console().print(table)
    if classes:
        figures = network.task.per_class
        table = Table("class", *(name.replace("_", " ") for name in figures))
        for name, found in classes.items():
            cells = (tasks.shown(found[f], figures[f].unit) for f in figures)
            table.add_row(printable(name), *cells)
        printed.console().print(table)
    return 0


if __name__ == "__main__":
    launch.run(main)
