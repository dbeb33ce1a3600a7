"""The configuration of an experiment: every field once, with its default, range and meaning.

A config file under `configs/` starts from `default()` and changes values. The sections `model`,
`data` and `optimizer` also take any field of the constructor that their `name` chooses.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from cnnjax import fields
from cnnjax.errors import InputError, nearest


@dataclasses.dataclass(frozen=True)
class Field:
    """A default and what else is allowed: numbers in [least, most], or one of `choices`."""

    default: Any
    help: str
    least: float = -math.inf
    most: float = math.inf
    choices: tuple[str, ...] = ()
    before: Any = None  # what a config means that is older than the field, if not the default


# Sections that pass what is not listed here to the constructor they name, which checks it.
OPEN = ("model", "data", "optimizer")

FIELDS: dict[str, Field | dict[str, Field]] = {
    "seed": Field(0, "of initialisation, order of examples, dropout, augmentation", 0, 2**31 - 1),
    "epochs": Field(10.0, "passes over the training split; fractions count steps", 0),
    "batch_size": Field(128, "examples per step, over all devices", 1, 10**6),
    "task": Field(
        "",
        "what is learnt, in cnnjax.tasks.TASKS; empty: what the data set is for",
        before="classification",
    ),
    "label_smoothing": Field(0.0, "probability spread over all classes", 0, 1),
    "dice": Field(0.0, "segmentation: weight of the Dice loss beside the cross entropy", 0),
    "augment": Field("", "of training images, in the step: 'crop(4)|flip'; see cnnjax.augment"),
    "freeze": Field("", "regular expression of layers that stay as they are: 'stem|stage[12].*'"),
    "deterministic": Field(False, "on a GPU: the same bits in every run of a seed, at some speed"),
    "unfreeze": {
        "after_epochs": Field(0.0, "when a second phase begins; 0: the whole run is one", 0),
        "keep": Field("", "regular expression of layers that stay frozen then"),
        "learning_rate": Field(1e-4, "the peak of the second phase", 0),
    },
    "init": {
        "path": Field("", "where to start from: a workdir, its checkpoint, or a file of weights"),
        "select": Field("", "of a workdir: last or best; of a file: which state dict, as in ema"),
        "head": Field("auto", "auto: kept for the same classes", choices=("auto", "fresh", "kept")),
        "take": Field("weights", "run: step and optimiser, too", choices=("weights", "run")),
        "preprocessing": Field(
            "source", "what says how pixels are normalised", choices=("source", "data")
        ),
        "sha256": Field("", "of what `path` holds; written by the run, checked where given"),
    },
    "model": {
        "name": Field("lenet5", "a network in cnnjax.models.MODELS"),
        "dialect": Field("", "the source whose variant to take: keras, torch, timm, paper"),
        "dtype": Field(
            "float32",
            "of convolutions and dense layers; all else stays float32",
            choices=("float32", "bfloat16"),
        ),
    },
    "data": {
        "name": Field("digits", "a set in cnnjax.data.DATASETS, or any prepared TFDS set"),
        "data_dir": Field("", "where TFDS sets are prepared; empty: ~/tensorflow_datasets"),
        "manual_dir": Field("", "archives already on disk, instead of a download"),
        "validation": Field(0.1, "share of the training split held out by seed", 0, 0.999),
        "only": Field((), "names of the classes that are kept, in their new order; empty: all"),
        "limit": Field(0, "training images that are kept, by seed; 0: all", 0),
        "resident": Field(
            "auto",
            "the training images lie on the devices; auto: on a GPU or TPU, if they fit there",
            choices=("auto", "yes", "no"),
        ),
        "image_size": Field(0, "pixels per side to resize to; 0 keeps the set's own", 0, 4096),
        "resize": Field(
            "squash",
            "whatever the proportions; crop: the shorter side, then the centre; pad: the longer",
            choices=("squash", "crop", "pad"),
        ),
        "crop_fraction": Field(1.0, "crop: share of the resized image that is kept", 0.01, 1),
        "interpolation": Field(
            "bilinear",
            "of resizing, as Pillow does it",
            choices=("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"),
        ),
        "sampling": Field(
            "uniform",
            "order of training: uniform over examples, or balanced: over classes",
            choices=("uniform", "balanced"),
        ),
        "decoders": Field(
            0, "processes that decode streamed images; 0: threads of this one", 0, 256
        ),
        "normalize": Field(
            "standard",
            "unit: pixels / 255; standard: then minus mean, over std, of the training split",
            choices=("unit", "standard"),
        ),
    },
    "optimizer": {
        "name": Field("adam", "an optimiser in cnnjax.train.optim.OPTIMIZERS"),
        "learning_rate": Field(1e-3, "the peak, after warm-up", 0),
        "weight_decay": Field(0.0, "added to the gradient; adamw and lamb decouple it", 0),
        "decay": Field(".*/kernel", "regular expression of the parameters that decay"),
        "clip_norm": Field(0.0, "largest norm of the whole gradient; 0 does not clip", 0),
        "accumulate": Field(1, "pieces a batch is computed in: less memory on a GPU or TPU", 1),
        "rates": Field((), "of layers by pattern, over learning_rate: (('stem', 0.1),)"),
        "layer_decay": Field(
            1.0, "learning rate of a block over that of the next; the head has all of it", 0, 1
        ),
        "ema": Field(0.0, "share that a running average of weights keeps; 0: none", 0, 0.999999),
    },
    "schedule": {
        "name": Field(
            "constant",
            "of the learning rate after warm-up",
            choices=("constant", "cosine", "step", "one_cycle"),
        ),
        "warmup_epochs": Field(
            0.0, "of linear growth from 0; one_cycle: of growth, 0: 30 % of the run", 0
        ),
        "final": Field(0.0, "cosine, one_cycle: last learning rate over the peak", 0, 1),
        "final_at": Field(
            "last",
            "cosine, one_cycle: which step takes `final`: the last, or the one after, never taken",
            choices=("last", "after"),
        ),
        "boundaries": Field((0.5, 0.75), "step: where the rate drops, as shares of the run", 0, 1),
        "factor": Field(0.1, "step: what each drop multiplies by", 0, 1),
    },
    "nonfinite": {
        "patience": Field(10, "steps in a row with loss or gradient not finite, until `then`", 1),
        "then": Field(
            "stop",
            "stop, or retreat: go back to the last checkpoint with a smaller learning rate",
            choices=("stop", "retreat"),
        ),
        "factor": Field(0.5, "retreat: what the learning rate is multiplied by", 0, 1),
        "retreats": Field(3, "retreat: how often, before the run stops", 1),
    },
    "parallel": {
        "devices": Field(0, "how many to use; 0 uses all", 0),
        "mapper": Field(
            "auto",
            "pmap, or jit over a mesh; auto: pmap on several devices, jit on one",
            choices=("auto", "pmap", "jit"),
        ),
        "steps_per_call": Field(
            0, "training steps the devices take at a call; 0: 16 of resident data, 1 on a CPU", 0
        ),
    },
    "evaluate": {
        "every_epochs": Field(1.0, "between validations; 0 only at the end", 0),
        "batch_size": Field(500, "examples per evaluation step, over all devices", 1, 10**5),
        "patience": Field(0, "validations that are no better, until the run ends; 0: never", 0),
        "select": Field(
            "last",
            "checkpoint that is tested at the end: the last, or the best on validation",
            choices=("last", "best"),
        ),
    },
    "checkpoint": {
        "every_epochs": Field(1.0, "between checkpoints; 0 only at the end and on request", 0),
        "keep": Field(2, "latest checkpoints kept, besides the best", 1),
    },
    "report": {
        "every_steps": Field(50, "between lines of metrics", 1),
        "tensorboard": Field(True, "write event files"),
        "pictures": Field(
            False, "event files get pictures of what the network sees and gets wrong, at the end"
        ),
    },
}


def default() -> ConfigDict:
    """Returns the defaults as an unlocked ConfigDict."""
    return ConfigDict(
        {
            name: {k: f.default for k, f in entry.items()} if isinstance(entry, dict)
            else entry.default
            for name, entry in FIELDS.items()
        },
        convert_dict=True,
    )  # fmt: skip


def parse(text: str | None, **defaults: Any) -> ConfigDict:
    """Reads the part after the colon of `--config=file.py:text` against its `defaults`.

    "resnet20,quick" or "model=resnet20,quick=True": a word alone sets a boolean of that name, or
    the first default; values take the type of their default. Leftovers raise InputError.
    """
    result = ConfigDict(defaults)
    for i, part in enumerate(filter(None, (text or "").split(","))):
        name, equals, value = part.partition("=")
        if not equals and isinstance(defaults.get(name), bool):
            result[name] = True
        elif not equals and i == 0:
            result[next(iter(defaults))] = name
        elif equals and name in defaults:
            kind = type(defaults[name])
            try:
                result[name] = value == "True" if kind is bool else kind(value)
            except ValueError:
                raise InputError(
                    f"{name} must be {kind.__name__}; given {value!r} in ':{text}'"
                ) from None
        else:
            raise InputError(f"unknown word {name!r} in ':{text}'{nearest(name, defaults)}")
    return result


def check(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config as plain nested dicts, or raises InputError for the first wrong field.

    What an open section takes beyond its listed fields is kept for its constructor to check.
    """
    values = config.to_dict() if isinstance(config, ConfigDict) else dict(config)
    resolved = check_names("config", values, FIELDS)
    for name, entry in FIELDS.items():
        if isinstance(entry, Field):
            resolved[name] = check_value(name, resolved[name], entry)
            continue
        if not isinstance(resolved[name], Mapping):
            raise InputError(section_is(name))
        section = check_names(f"config.{name}", resolved[name], entry, open=name in OPEN)
        for key, field in entry.items():
            section[key] = check_value(f"{name}.{key}", section[key], field)
        resolved[name] = {key: fields.as_tuple(value) for key, value in section.items()}
    return resolved


def section_is(name: str, value: str = "NAME") -> str:
    """Returns the sentence for a section that was given a `value` as if it were a field."""
    entry: Any = FIELDS[name]
    if "name" in entry:
        return f"config.{name} is a section: set config.{name}.name={value}"
    every = ", ".join(f"config.{name}.{field}" for field in entry)
    return f"config.{name} is a section: set one of {every}"


def check_names(
    where: str, values: Mapping[str, Any], known: Mapping[str, Any], open: bool = False
) -> dict[str, Any]:
    unknown = sorted(values.keys() - known.keys())
    if unknown and not open:
        raise InputError(f"{where} has no field {unknown[0]!r}{nearest(unknown[0], known)}")
    missing = sorted(known.keys() - values.keys())
    if missing:
        raise InputError(f"{where} lacks {', '.join(missing)}: start from cnnjax.config.default()")
    return dict(values)


def check_value(name: str, value: Any, field: Field) -> Any:
    value = fields.matching(f"config.{name}", value, field.default)
    if field.choices and value not in field.choices:
        raise InputError(f"config.{name} is {value!r}{nearest(value, field.choices)}")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, str | bool | tuple):
            continue
        if not (math.isfinite(number) and field.least <= number <= field.most):
            raise InputError(
                f"config.{name} must lie in [{field.least:g}, {field.most:g}]; given {number!r}"
            )
    return value


def extra(config: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Returns the fields of an open section that are those of the constructor it names."""
    known = FIELDS[section]
    return {k: v for k, v in config[section].items() if k not in known}  # pyright: ignore


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns {"section.field": value}, tuples as JSON reads them back."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{k}": v for k, v in value.items()}
        else:
            flat[name] = value
    return json.loads(json.dumps(flat))
