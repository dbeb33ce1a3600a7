"""What travels with weights: classes, preprocessing, outputs, where they are from.

It lies beside the preprocessing because everything that uses a trained network reads it: training,
evaluation, prediction, explanation and export.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from cnnjax import fields
from cnnjax.errors import InputError, nearest
from cnnjax.images import preprocessing
from cnnjax.images.preprocessing import Preprocessing

OUTPUTS = ("logits", "probabilities")


@dataclasses.dataclass(frozen=True)
class Description:
    """Of the weights of a network.

    Attributes:
      classes: names in the order of the outputs; empty where nobody says.
      preprocessing: from an image file to the input of the network.
      outputs: "logits", or "probabilities" where the network ends with a softmax.
      network: the call or name that makes the module; empty where the file holds its graph.
      source: the file's name, without its folder.
      digest: SHA-256 of the file, in hexadecimal.
      assumed: what the file does not say, one sentence each.
    """

    preprocessing: Preprocessing = dataclasses.field(default_factory=Preprocessing)
    classes: tuple[str, ...] = ()
    outputs: str = "logits"
    network: str = ""
    source: str = ""
    digest: str = ""
    assumed: tuple[str, ...] = ()

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if field.name == "preprocessing":
                continue
            value = fields.matching(field.name, getattr(self, field.name), field.default)
            object.__setattr__(self, field.name, value)
        if self.outputs not in OUTPUTS:
            raise InputError(f"outputs are {self.outputs!r}{nearest(self.outputs, OUTPUTS)}")
        for name in ("classes", "assumed"):
            if not all(isinstance(value, str) for value in getattr(self, name)):
                raise InputError(f"{name} must be words; given {getattr(self, name)!r}")
        if len(set(self.classes)) < len(self.classes):
            raise InputError("two classes of one name")


def as_json(record: Description) -> str:
    """Returns the record as one JSON object, from which `from_json` makes its equal."""
    return json.dumps(dataclasses.asdict(record))


def from_json(text: str | Mapping[str, Any]) -> Description:
    """Returns the record of a JSON object, or of what was read from one; else InputError."""
    text = fields.json_object(text, "the description")
    known = fields.defaults(Description) | {"preprocessing": fields.REQUIRED}
    values = fields.checked("description", text, known)
    if "preprocessing" in values:
        values["preprocessing"] = preprocessing.from_json(text["preprocessing"])
    return Description(**values)


def digest(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
