"""What a file of our own says of its weights: all that makes and uses the network again.

It is one JSON object under `cnnjax` in the metadata of safetensors:

- version: 1
- network: {"name", "fields"} of `models.build`; {"keras", "keras_version"}, a config of Keras; or
  {"stablehlo"}, the SHA-256 of the program that the record lies beside
- input_shape: [height, width, channels]
- task: a name in `tasks.TASKS`
- description: an `images.Description`, with classes and preprocessing
- weights: `tree.digest` of the variables
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from cnnjax import fields as checks
from cnnjax import models, tree
from cnnjax.errors import InputError
from cnnjax.images import description
from cnnjax.images.description import Description
from cnnjax.transfer import safetensors

KEY, VERSION = "cnnjax", 1
SIDES = 3  # numbers of an input's shape


@dataclasses.dataclass(frozen=True)
class Record:
    """The object of the file's metadata; `weights` is empty where nothing was recorded."""

    network: Mapping[str, Any]
    input_shape: tuple[int, ...]
    task: str
    description: Description
    weights: str


def recipe(name: str, module: nn.Module) -> dict[str, Any]:
    """Returns the `network` of a record: what of a module is not as `models.build(name)` has it."""
    usual = models.build(name)
    changed = {
        field.name: getattr(module, field.name)
        for field in dataclasses.fields(usual)
        if field.name not in (*models.HIDDEN, "dtype")
        and getattr(module, field.name) != getattr(usual, field.name)
    }
    return {"name": name, "fields": changed}


def as_json(record: Record) -> str:
    return json.dumps({"version": VERSION, **dataclasses.asdict(record)})


def read(path: str | os.PathLike) -> Record | None:
    """Returns the record of a safetensors file; None where it has none.

    Raises InputError for one that is damaged or of a later version.
    """
    text = safetensors.metadata(path).get(KEY)
    return None if text is None else of_object(text, os.fspath(path))


def of_object(text: str | Mapping[str, Any], path: str) -> Record:
    """Returns the record of the JSON object in `path`; InputError where it is not sound."""
    what = f"what {path} says of its weights"
    found = dict(checks.json_object(text, what))
    if found.pop("version", None) != VERSION:
        raise InputError(f"{path} was written by another version of cnnjax")
    known = {"network": checks.REQUIRED, "input_shape": (), "task": "", "weights": ""}
    known |= {"description": checks.REQUIRED}
    values = checks.checked(what, found, known)
    if missing := ", ".join(known.keys() - values.keys()):
        raise InputError(f"{what} lacks {missing}")
    shape = values["input_shape"]
    if len(shape) != SIDES or not all(isinstance(n, int) and n > 0 for n in shape):
        raise InputError(f"{what} has an input of shape {shape}")
    network = checks.json_object(values["network"], f"the network in {what}")
    texts = all(isinstance(network.get(key, ""), str) for key in ("name", "keras"))
    fields = isinstance(network.get("fields", {}), Mapping)
    kinds = ("keras" in network, {"name", "fields"} <= network.keys(), "stablehlo" in network)
    if not texts or not fields or sum(kinds) != 1:
        raise InputError(f"{what} names no network")
    return Record(
        network=network,
        input_shape=shape,
        task=values["task"],
        description=description.from_json(found["description"]),
        weights=values["weights"],
    )


def check(record: Record, variables: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Refuses variables that are not those of the record."""
    if tree.digest(variables) != record.weights:
        raise InputError(f"{path} is damaged: its weights do not have the digest written with them")
