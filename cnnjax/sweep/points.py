"""Points and configs: what a field is, a config with a point's values, whether it can exist."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cnnjax import augment, data, fields, history, models
from cnnjax import config as configuration
from cnnjax.augment.parse import written
from cnnjax.errors import InputError, nearest
from cnnjax.evaluation.trained import build_module
from cnnjax.sweep.dimension import RANGE, Dimension
from cnnjax.sweep.space import Point, Space
from cnnjax.train import optim

FIELD = re.compile(r"([\w.]+?)(?:\[(\d+)\])?")
AUGMENT = "augment."
# The fields that choose the constructor of an open section, and with it what fields there are.
NAMES = tuple(f"{section}.name" for section in configuration.OPEN)


def applied(config: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """Returns the config with the point's values; names of constructors and texts go first."""
    result = copy.deepcopy(dict(config))
    strengths: dict[str, float] = {}
    for field in sorted(point, key=lambda name: name not in (*NAMES, "augment")):
        if field.startswith(AUGMENT):
            current(result, field)
            strengths[field.removeprefix(AUGMENT)] = point[field]
        else:
            put(result, field, fields.as_tuple(point[field]))
    if strengths:
        result["augment"] = written(result["augment"], strengths)
    return result


def put(config: dict[str, Any], field: str, value: Any) -> None:
    """Sets a field, or an entry of one that is a tuple."""
    name, index = parts(field)
    if index is not None:
        before = list(current(config, name))
        before[index] = value
        value = tuple(before)
    section, _, key = name.rpartition(".")
    (config[section] if section else config)[key] = value


def parts(field: str) -> tuple[str, int | None]:
    """Returns the name of a field, and which entry of it is meant, if one is."""
    found = FIELD.fullmatch(field)
    if found is None:
        raise InputError(f"{field!r} is no field of a config")
    name, index = found.groups()
    return name, None if index is None else int(index)


def current(config: Mapping[str, Any], field: str) -> Any:
    """Returns the value of a field in a config, or the default of the constructor it names.

    Raises InputError for a field that is not there.
    """
    name, index = parts(field)
    if name.startswith(AUGMENT):
        values = augment.pipeline(config["augment"]).values
        key = name.removeprefix(AUGMENT)
        if key not in values:
            has = nearest(key, values) if values else ": it is empty"
            raise InputError(f"the augmentation {config['augment']!r} has no {key!r}{has}")
        return values[key]
    section, _, key = name.rpartition(".")
    known = configuration.FIELDS.get(section) if section else configuration.FIELDS
    if not isinstance(known, Mapping):
        raise InputError(f"config has no field {name!r}{nearest(name, every_name(config))}")
    values = {**constructor_fields(config, section), **(config[section] if section else config)}
    if key not in values:
        raise InputError(f"config has no field {name!r}{nearest(name, every_name(config))}")
    if isinstance(entry := known.get(key), Mapping):
        raise InputError(f"{name} is a section: give {name}.FIELD{nearest('', entry)}")
    value = values[key]
    if index is None:
        return value
    if not isinstance(value, tuple) or index >= len(value):
        raise InputError(f"{name} is {value!r}, which has no entry {index}")
    return value[index]


def constructor_fields(config: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Returns the fields of the constructor that an open section names, with their defaults."""
    if section not in configuration.OPEN:
        return {}
    name = config[section]["name"]
    if section == "model":
        return fields.defaults(models.MODELS[name], models.HIDDEN)
    table = optim.OPTIMIZERS if section == "optimizer" else data.DATASETS
    if section == "data" and name not in table:
        return {}
    return fields.defaults(table[name])


def every_name(config: Mapping[str, Any]) -> list[str]:
    """Returns all fields that this config could have."""
    names: list[str] = []
    for name, entry in configuration.FIELDS.items():
        if isinstance(entry, Mapping):
            own = {**entry, **constructor_fields(config, name)}
            names += [f"{name}.{key}" for key in own]
        else:
            names.append(name)
    return names


def check_space(space: Space, config: Mapping[str, Any]) -> Space:
    """Returns the space with types that fit the config's; raises InputError where none do.

    Every end of a range and every choice is tried in the config by itself; nothing is computed.
    """
    contexts = list(map(dict, contexts_of(space, config)))
    checked = [typed(d, contexts) for d in space.dimensions]
    for dimension in checked:
        for context, value in itertools.product(contexts, dimension.ends()):
            if dimension.field not in (*NAMES, "augment"):
                check_names(applied(context, {dimension.field: value}), str(value))
    return Space(tuple(checked))


def contexts_of(space: Space, config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the config with each combination of constructors and augmentations of the space."""
    chosen = [d for d in space.dimensions if d.field in (*NAMES, "augment")]
    for values in itertools.product(*(d.ends() for d in chosen)):
        point = {d.field: value for d, value in zip(chosen, values, strict=True)}
        context = applied(config, point)
        check_names(context)
        yield context


def typed(dimension: Dimension, contexts: list[dict[str, Any]]) -> Dimension:
    """Returns the dimension with whole numbers where the field takes such."""
    name, _ = parts(dimension.field)
    if any(name == c or name.startswith(c + ".") for c in history.CHANGEABLE):
        raise InputError(f"{name} does not change what a run computes: leave it out of the space")
    for context in contexts:
        before = current(context, dimension.field)
        if before is None or before is fields.REQUIRED:
            continue
        number = isinstance(before, int | float) and not isinstance(before, bool)
        if dimension.kind != "choice" and not number:
            raise InputError(
                f"{dimension.field} is {before!r}, no number: {dimension.text} is a range; give "
                "values with | between them"
            )
        if isinstance(before, int) and dimension.kind == "uniform":
            raise InputError(
                f"{dimension.field} takes whole numbers: write int({dimension.low:g}, "
                f"{dimension.high:g})"
            )
        if number and isinstance(before, int):
            dimension = whole(dimension)
    return dimension


def whole(dimension: Dimension) -> Dimension:
    """Returns a dimension of a field of whole numbers with such values alone."""
    if dimension.kind == "choice":
        choices = dimension.choices
        if RANGE.fullmatch(dimension.text.strip()) and all(c == int(c) for c in choices):
            choices = tuple(map(int, choices))
        return dataclasses.replace(dimension, choices=choices)
    if dimension.kind != "log":
        return dimension
    if dimension.low != int(dimension.low) or dimension.high != int(dimension.high):
        raise InputError(
            f"{dimension.field} takes whole numbers, and {dimension.text} has ends between them"
        )
    return dataclasses.replace(dimension, whole=True)


def check_names(config: Mapping[str, Any], value: str = "") -> None:
    """Raises InputError for a name, word or type in a config that nothing knows; computes nothing.

    A word such as that of a pooling is looked up only while a network is traced: on large images,
    so that what is wrong is no matter of size.
    """
    config = configuration.check(config)
    module = build_module(config, outputs=2)
    data.check(config["data"]["name"], **configuration.extra(config, "data"))
    optim.check(config["optimizer"]["name"], **configuration.extra(config, "optimizer"))
    augment.pipeline(config["augment"])
    if value.isidentifier():
        models.variable_shapes(module, (models.LARGE, models.LARGE, 3))
