"""The state dict in a checkpoint, whatever lies beside it and around it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cnnjax.errors import InputError
from cnnjax.transfer.inert import Inert

DEPTH = 6  # of dicts in each other that are searched
DEEPEST = 64  # of modules in each other
AVERAGED = ("ema", "swa", "shadow", "average")


def state_dict(
    path: str | os.PathLike, saved: Any, select: str | None = None
) -> dict[str, np.ndarray]:
    """Returns the one dict of tensors in what a file holds.

    Args:
      select: where there are several, the key of one, or a part of it: "ema".

    Raises InputError for none, and for several that `select` does not tell apart.
    """
    found = {name: tensors for name, tensors in candidates(saved) if tensors}
    if select is not None:
        exact = {n: t for n, t in found.items() if select in (n, *n.split("."))}
        some = exact or {n: t for n, t in found.items() if select.lower() in n.lower()}
        if len(some) != 1:
            listed = ", ".join(repr(name) for name in some or found) or "none"
            raise InputError(f"{path}: select={select!r} fits {len(some)} dicts of tensors of "
                             f"{listed}")  # fmt: skip
        return next(iter(some.values()))
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise InputError(f"{path}: one dict of tensors by name is wanted, found none")
    averaged = next((n for n in found if any(w in n.lower() for w in AVERAGED)), "")
    example = "ema" if "ema" in averaged.lower() else averaged or next(iter(found))
    raise InputError(
        f"{path}: one dict of tensors by name is wanted, found several: {', '.join(found)}; "
        f"choose one, as in select={example!r}"
    )


def candidates(saved: Any) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yields the dicts of tensors by name in `saved`, and the keys that lead to them.

    The state of an optimiser, whose dicts have numbers for names, is none; single numbers, such as
    a loss, make none either.
    """
    waiting: list[tuple[tuple[str, ...], Any]] = [((), saved)]
    seen: set[int] = set()
    while waiting:
        keys, value = waiting.pop(0)
        if id(value) in seen or len(keys) > DEPTH:
            continue
        seen.add(id(value))
        if isinstance(value, Inert):
            tensors = dict(tensors_of_module(value))
            if any(array.ndim for array in tensors.values()):
                yield ".".join(keys) or "module", tensors
                continue
            value = value.state
        if not isinstance(value, Mapping):
            continue
        tensors = tensors_of(value)
        if any(array.ndim > 1 for array in tensors.values()) or (
            tensors and all("." in name for name in tensors)
        ):
            yield ".".join(keys) or "state_dict", tensors
        else:
            waiting += [((*keys, key), v) for key, v in value.items() if isinstance(key, str)]


def tensors_of(saved: Any) -> dict[str, np.ndarray]:
    """Returns the entries that are tensors by name."""
    return {k: v for k, v in saved.items() if isinstance(k, str) and isinstance(v, np.ndarray)}


def tensors_of_module(module: Inert) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the tensors of a module that was saved as a whole, named as its state dict has them.

    Modules of PyTorch keep parameters, buffers and modules in dicts; those of TorchScript keep all
    of them as attributes.
    """
    waiting: list[tuple[tuple[str, ...], Inert]] = [((), module)]
    seen: set[int] = set()
    while waiting:
        names, current = waiting.pop(0)
        if id(current) in seen or len(names) > DEEPEST:
            continue
        seen.add(id(current))
        parts = [current.state.get(key) for key in ("_parameters", "_buffers", "_modules")]
        entries: dict[str, Any] = {}
        for part in parts if any(isinstance(p, Mapping) for p in parts) else [current.state]:
            entries |= part if isinstance(part, Mapping) else {}
        inner = []
        for name, value in entries.items():
            if not isinstance(name, str):
                continue
            if isinstance(value, np.ndarray):
                yield ".".join((*names, name)), value
            elif isinstance(value, Inert):
                inner.append(((*names, name), value))
        waiting = inner + waiting


def without_prefix(tensors: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns the words that stand before every name, and the tensors without them."""
    names = [name for name, array in tensors.items() if array.ndim]
    common: list[str] = []
    for words in zip(*(name.split(".")[:-2] for name in names), strict=False):
        if len(set(words)) > 1:
            break
        common.append(words[0])
    prefix = "".join(f"{word}." for word in common)
    return prefix, {n.removeprefix(prefix): t for n, t in tensors.items()}


def prefix_of(wanted: list[str], tensors: Mapping[str, Any]) -> str:
    """Returns what stands before the names that are wanted in most of the file's names.

    Wrappers put `module.` or `_orig_mod.` there, others `net.`, `backbone.` or `encoder.`.
    """
    votes: dict[str, int] = {"": 0}
    sought = set(wanted)
    for name in tensors:
        words = name.split(".")
        for i in range(len(words) - 1):
            if ".".join(words[i:]) in sought:
                prefix = "".join(f"{word}." for word in words[:i])
                votes[prefix] = votes.get(prefix, 0) + 1
    return max(votes, key=lambda prefix: (votes[prefix], -len(prefix)))
