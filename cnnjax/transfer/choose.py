"""Which function a file of PyTorch holds, where its tensors fit several."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnjax import fields as checks
from cnnjax import models
from cnnjax.errors import InputError
from cnnjax.transfer import plain
from cnnjax.transfer.plain import Candidate
from cnnjax.transfer.rules import Rule

# What tensors bound together but do not tell alone.
CHOICES = ("blocks", "padding", "paddings", "pool_last", "pool_size")
# Activation and pooling, as tutorials have them, and as LeCun's network of 1998 has them.
USUAL = ({"act": "relu", "pool": "max"}, {"act": "tanh", "pool": "average"})
SHOWN = 6
OWN_IMAGE = (28, 28, 1)  # of the plain networks' data sets: MNIST and Fashion-MNIST

Chosen = tuple[dict[str, Any], tuple[int, ...] | None, tuple[str, ...]]


def call(name: str, path: str | os.PathLike, fields: Mapping[str, Any], shape: Any = None) -> str:
    """Returns the call to paste; fields that are the network's defaults are left out."""
    known = checks.defaults(models.MODELS[name], models.HIDDEN)
    given = {k: v for k, v in fields.items() if k in USUAL[0] or known.get(k) != v}
    if shape is not None:
        given["input_shape"] = shape
    arguments = "".join(f", {key}={value!r}" for key, value in given.items())
    return f"transfer.load({name!r}, {os.fspath(path)!r}{arguments})"


def listing(
    path: str | os.PathLike, fit: list[Candidate], fields: Mapping[str, Any], doubtful: bool
) -> str:
    """Returns the calls of the first candidates, one a line."""
    lines = []
    for one in fit:
        for usual in USUAL if doubtful else USUAL[:1]:
            if all(fields.get(key, value) == value for key, value in usual.items()):
                chosen = dict(one.fields) | usual | dict(fields)
                lines.append("  " + call(one.name, path, chosen, one.input_shape))
    if not lines:
        lines = ["  " + call(c.name, path, dict(c.fields) | dict(fields), c.input_shape)
                 for c in fit]  # fmt: skip
    rest = len(lines) - SHOWN
    return "\n".join(lines[:SHOWN] + ([f"  ... and {rest} more"] if rest > 0 else []))


def chosen(
    name: str,
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray],
    fields: dict[str, Any],
    shape: tuple[int, ...] | None,
    rule: Rule,
) -> Chosen:
    """Returns the fields and the image size of a plain network, and what was assumed.

    What shapes determine is filled in. Raises InputError with calls to paste where the tensors fit
    several functions; returns the fields as they are where they fit none that is known.
    """
    found = plain.plain(tensors)
    missing = [field for field in rule.doubtful if field not in fields]
    fit = [] if found is None else fitting(name, plain.candidates(found), fields, shape)
    if missing and fit:
        raise InputError(
            f"{path} fits {name} as several functions: its tensors do not tell "
            f"{' and '.join(missing)}. Say which, as in one of these calls:\n"
            + listing(path, fit, fields, doubtful=True)
        )
    if missing:
        raise InputError(
            f"the tensors of {path} do not tell {' and '.join(missing)} of {name}; give "
            + ", ".join(f"{field}=" for field in missing)
        )
    if not fit:
        return fields, shape, ()
    notes = [f"{f}={default_of(name, f)!r}" for f in rule.assumed if f not in fields]
    functions = {one.fields for one in fit}
    if len(functions) > 1:
        own = [one for one in fit if usual(name, one, fields)]
        if len({one.fields for one in own}) != 1:
            raise InputError(
                f"{path} fits {name} as several functions, which its tensors do not tell apart. "
                "Say which, as in one of these calls:\n" + listing(path, fit, fields, False)
            )
        fit = own
        notes += [f"{k}={v!r}" for k, v in own[0].fields if k in CHOICES and k not in fields]
    if shape is None:
        notes.append(f"images of {'x'.join(map(str, fit[0].input_shape))}")
    return dict(fit[0].fields) | fields, fit[0].input_shape, tuple(notes)


def default_of(name: str, field: str) -> Any:
    return checks.defaults(models.MODELS[name])[field]


def fitting(
    name: str, known: list[Candidate], fields: Mapping[str, Any], shape: Any
) -> list[Candidate]:
    """Returns the candidates that agree with what is given."""
    family = {n: next(f for f in models.FAMILIES if n in f.MODELS) for n in (name, "first_convnet")}
    defaults = checks.defaults(models.MODELS[name])
    result = []
    for one in known:
        if one.name != name and family[name] is not family["first_convnet"]:
            continue
        if one.name == "lenet5" and name != "lenet5":
            continue
        values = defaults | dict(one.fields)
        told = (*CHOICES, "features", "units", "kernel", "kernels", "norm", "conv_bias", "stride")
        agrees = all(
            checks.as_tuple(value) == values[key]
            for key, value in fields.items()
            if key in told and key in values
        )
        size = shape is None or tuple(shape)[:2] == one.input_shape[:2]
        if agrees and size and (shape is None or shape[2] in (None, one.input_shape[2])):
            result.append(Candidate(name, one.fields, one.input_shape))
    return result


def usual(name: str, one: Candidate, fields: Mapping[str, Any]) -> bool:
    """Returns whether a candidate is the network as its name has it, for its own images."""
    defaults = checks.defaults(models.MODELS[name])
    choices = {k: v for k, v in one.fields if k in CHOICES and k not in fields}
    if "blocks" in choices:  # the features are the file's; one convolution each, or the name's
        own = tuple(map(len, defaults["blocks"])) == tuple(map(len, choices.pop("blocks")))
    else:
        own = True
    return own and one.input_shape == OWN_IMAGE and all(
        defaults[key] == value for key, value in choices.items()
    )  # fmt: skip


def several(path: str | os.PathLike, tensors: Mapping[str, np.ndarray]) -> str:
    """Returns the calls that a plain file fits, or nothing."""
    found = plain.plain(tensors)
    if found is None:
        return ""
    return listing(path, plain.candidates(found), {}, doubtful=True)
