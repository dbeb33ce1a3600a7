"""Compiled programs that runs of one process share, where they differ in values alone.

Learning rate, weight decay, label smoothing, dropout rates, the strengths of an augmentation and
the seed are arguments of the compiled step, so that a sweep over them compiles once. What else a
program could depend on is part of the key, the whole config above all: a field that nobody thought
of here costs a compilation, never another result.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from cnnjax import augment, config, data, history, parallel

Value = TypeVar("Value")
# Kinds of programs that are kept: several seeds, each with the statistics of its own split.
KINDS = 8
TRACED = "an argument"
# What may change when a run is resumed, and is part of its programs all the same.
COMPILED = ("parallel", "data.resident", "evaluate.batch_size", "nonfinite.patience")


@functools.lru_cache(KINDS)
def kept(key: str) -> dict[Any, Any]:
    """Returns the programs of all runs with this key; empty at first."""
    del key
    return {}


SHARING = contextvars.ContextVar("sharing", default=False)


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """Inside, runs share their programs; elsewhere each has its own."""
    token = SHARING.set(True)
    try:
        yield
    finally:
        SHARING.reset(token)


def of(
    values: Mapping[str, Any],
    dataset: data.Dataset,
    mapper: parallel.Mapper,
    hyper: Mapping[str, float],
) -> dict[Any, Any]:
    """Returns the programs that a run may use, and where it puts those that it compiles."""
    return kept(key(values, dataset, mapper, hyper)) if SHARING.get() else {}


def once(programs: dict[Any, Any], name: Any, make: Callable[[], Value]) -> Value:
    """Returns what `make` returned when `name` was first asked for."""
    if name not in programs:
        programs[name] = make()
    return programs[name]


def key(
    values: Mapping[str, Any],
    dataset: data.Dataset,
    mapper: parallel.Mapper,
    hyper: Mapping[str, float],
) -> str:
    """Returns a text that is the same for runs whose programs are: all but the traced values.

    Args:
      values: the config. A rate of 0 is left out of `hyper` and of the program, and so stays.
      hyper: what is given to the step as arguments.
    """
    static = copy.deepcopy(dict(values))
    static["seed"] = TRACED
    for name in ("learning_rate", "weight_decay"):
        if name in hyper:
            static["optimizer"][name] = TRACED
    for name in hyper:
        if name in config.FIELDS:
            static[name] = TRACED
        elif name.endswith("dropout_rate"):
            static["model"][name] = TRACED
    terms = augment.pipeline(values["augment"]).terms
    static["augment"] = [(term.label, term.edge, sorted(term.numbers)) for term in terms]
    for name in history.CHANGEABLE:
        section, _, field = name.partition(".")
        if name in COMPILED:
            continue
        if field:
            static[section].pop(field, None)
        else:
            del static[section]
    splits = {
        split: {
            name: (a.shape[1:], str(a.dtype)) for name, a in getattr(dataset, split).arrays.items()
        }
        for split in ("train", "validation", "test")
    }
    unit = values["data"]["normalize"] == "unit"
    statistics = None if unit else (dataset.mean, dataset.std)
    facts = (dataset.name, len(dataset.train), statistics, dataset.class_names)
    devices = [str(device) for device in mapper.mesh.devices.flat]
    return json.dumps([static, splits, facts, devices, mapper.kind], sort_keys=True, default=str)
