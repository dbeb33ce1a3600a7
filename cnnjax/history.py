"""Configs of earlier times: what their runs go on with, and what may change on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnjax.config import FIELDS, Field, flatten

# What these networks were by default while configs had no field for it.
FORMERLY = {"resnet50": "keras", "resnet101": "keras", "resnet152": "keras"}
# Schedules that ended a step before their last value while configs had no field for it.
DECAYING = ("cosine", "one_cycle")
# Fields that say where or how a run goes, not what it computes: they may change on resuming.
CHANGEABLE = (
    "data.data_dir", "data.manual_dir", "data.stream", "data.resident", "data.decoders", "parallel",
    "report", "checkpoint", "evaluate.batch_size", "evaluate.every_epochs", "nonfinite.patience",
)  # fmt: skip
# Where the data lie: on resuming the same may lie elsewhere, and others are refused when read.
MOVABLE = ("data.path",)


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a stored config with what the fields that are younger than it stand for there."""
    result = dict(config)
    for name, entry in FIELDS.items():
        if isinstance(entry, Field):
            result.setdefault(name, meant_before(entry))
        else:
            known = {k: meant_before(f) for k, f in entry.items()}
            result[name] = known | dict(result.get(name, {}))
    if "dialect" not in config.get("model", {}):
        result["model"]["dialect"] = FORMERLY.get(result["model"]["name"], "")
    if "final_at" not in config.get("schedule", {}):
        former = "after" if result["schedule"]["name"] in DECAYING else "last"
        result["schedule"]["final_at"] = former
    return result


def meant_before(field: Field) -> Any:
    return field.default if field.before is None else field.before


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns "field: old, now new" for each difference that would change what a run computes."""
    lines = []
    flat_old, flat_new = flatten(old), flatten(new)
    for name in sorted(flat_old.keys() | flat_new.keys()):
        before, after = flat_old.get(name, "(default)"), flat_new.get(name, "(default)")
        free = any(name == c or name.startswith(c + ".") for c in (*CHANGEABLE, *MOVABLE))
        if before != after and not free:
            lines.append(f"{name}: {before!r}, now {after!r}")
    return lines
