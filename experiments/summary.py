"""Prints the layers of a network: shapes, parameters, multiply-adds, memory, receptive fields.

python -m experiments.summary --config=configs/imagenet.py:vgg16
python -m experiments.summary --model=resnet50 --dialect=keras --by=stage
python -m experiments.summary --model=resnet50 --stages
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from experiments import configuration, launch

CONFIG = configuration.define()
flags.declare_key_flag("config")
MODEL = flags.DEFINE_string("model", None, "A network on ImageNet, instead of a config.")
DIALECT = flags.DEFINE_string("dialect", None, "A source whose variant to take: keras, torch, ...")
INPUT = flags.DEFINE_list("input", None, "Height,width,channels, instead of the data set's.")
CLASSES = flags.DEFINE_integer("classes", None, "Classes, instead of the data set's.", 1)
BY = flags.DEFINE_enum("by", "layer", ["layer", "block", "stage"], "What a line stands for.")
STAGES = flags.DEFINE_bool(
    "stages", False, "What the network gives as the backbone of a detector or a segmenter."
)
JSON = flags.DEFINE_bool("json", False, "Print one JSON object.")

# Height, width, channels and classes as published: a summary needs no data on disk.
IMAGENET = (224, 224, 3), 1000
PUBLISHED = {
    "digits": ((8, 8, 1), 10),
    "mnist": ((28, 28, 1), 10),
    "fashion_mnist": ((28, 28, 1), 10),
    "kmnist": ((28, 28, 1), 10),
    "cifar10": ((32, 32, 3), 10),
    "cifar100": ((32, 32, 3), 100),
    "imagenet2012": IMAGENET,
}


def main(arguments: Sequence[str]) -> int:
    launch.no_arguments(arguments)
    from cnnjax import config, models
    from cnnjax.report import summary
    from cnnjax.structure import layers

    values = config.check(on_imagenet() if MODEL.value else configuration.value(CONFIG))
    name, options = values["model"]["name"], config.extra(values, "model")
    options["dtype"] = values["model"]["dtype"]
    options["dialect"] = values["model"]["dialect"] or None
    shape, classes = published(values["data"])
    shape, classes = given_shape() or shape, CLASSES.value or classes
    if DIALECT.value:
        options["dialect"] = DIALECT.value
    module = models.build(name, classes, **options)
    if STAGES.value:
        return print_stages(name, module, shape[2])
    rows = layers.grouped(layers.trace(module, shape), BY.value)
    if JSON.value:
        print(json.dumps(summary.record(name, shape, classes, rows)))
    else:
        print(summary.table(name, rows))
    return 0


def print_stages(name: str, module: Any, channels: int) -> int:
    from cnnjax.models import backbones
    from cnnjax.report import summary

    stages = backbones.stages(backbones.of(module), channels)
    if JSON.value:
        print(json.dumps({"model": name, "stages": [dataclasses.asdict(s) for s in stages]}))
    else:
        print(summary.stages(name, stages))
    return 0


def on_imagenet() -> Any:
    """Returns the config of --model with what was given of its fields."""
    from cnnjax import config
    from cnnjax.errors import InputError

    flag: Any = flags.FLAGS["config"]
    if not flag.using_default_value or "model.name" in flag.override_values:
        raise InputError("--model and --config name two networks: give one of them")
    values = config.default()
    values.data.name = "imagenet2012"
    for field, value in flag.override_values.items():
        section, _, key = field.partition(".")
        if section != "model" and field != "data.image_size":
            raise InputError(
                f"--config.{field} has no meaning beside --model: give fields of config.model, or "
                "config.data.image_size"
            )
        values[section][key] = value
    values.model.name = MODEL.value
    return values


def published(section: Mapping[str, Any]) -> tuple[tuple[int, ...], int]:
    """Returns (height, width, channels) and classes of a config's data set."""
    if section["name"] in PUBLISHED:
        shape, classes = PUBLISHED[section["name"]]
    else:
        from cnnjax import config, data

        dataset = data.load(
            section["name"], section["data_dir"], **config.extra({"data": section}, "data")
        )
        shape, classes = dataset.shape, dataset.classes
    side = section["image_size"]
    return (side, side, shape[2]) if side else shape, classes


def given_shape() -> tuple[int, ...] | None:
    from cnnjax.errors import InputError

    if INPUT.value is None:
        return None
    if len(INPUT.value) != 3 or not all(n.isdigit() for n in INPUT.value):
        raise InputError(f"--input is height,width,channels; given {','.join(INPUT.value)!r}")
    return tuple(map(int, INPUT.value))


if __name__ == "__main__":
    launch.run(main)
