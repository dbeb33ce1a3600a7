"""Values given by name for the fields of a constructor or function, checked against it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cnnjax.errors import InputError, nearest

REQUIRED = inspect.Parameter.empty


def defaults(constructor: Callable[..., Any], hidden: tuple[str, ...] = ()) -> dict[str, Any]:
    """Returns field -> default of a dataclass or function; what a `partial` sets counts."""
    given: dict[str, Any] = {}
    while isinstance(constructor, functools.partial):
        given = constructor.keywords | given
        constructor = constructor.func
    if dataclasses.is_dataclass(constructor):
        known = {
            f.name: REQUIRED if f.default is dataclasses.MISSING else f.default
            for f in dataclasses.fields(constructor)
            if f.init
        }
    else:
        known = {p.name: p.default for p in inspect.signature(constructor).parameters.values()}
    return {name: given.get(name, known[name]) for name in known if name not in hidden}


def checked(
    what: str, values: Mapping[str, Any], known: Mapping[str, Any], beside: Iterable[str] = ()
) -> dict[str, Any]:
    """Returns `values`, each of the type of its default in `known`, lists made tuples.

    Raises InputError for a name that is not in `known`, or a value of another type. `beside` are
    names that stand in the same place, and that may have been meant.
    """
    for name in values:
        if name not in known:
            raise InputError(f"{what} has no field {name!r}{nearest(name, {*known, *beside})}")
    return {name: matching(f"{what}.{name}", v, known[name]) for name, v in values.items()}


def matching(what: str, value: Any, default: Any) -> Any:
    """Returns `value` if it is of the type of `default` (None and REQUIRED stand for any).

    So must be the parts of a tuple, where all parts of the default are of one type.
    """
    value = as_tuple(value)
    if default is None or default is REQUIRED:
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    kind = type(default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"{what} must be {kind.__name__}, as in {default!r}; given {value!r}")
    if isinstance(default, tuple) and len({type(part) for part in default}) == 1:
        parts: Any = value
        return tuple(matching(f"{what}[{i}]", part, default[0]) for i, part in enumerate(parts))
    return value


def as_tuple(value: Any) -> Any:
    """Returns lists as tuples, at any depth: JSON knows no tuples."""
    if isinstance(value, list | tuple):
        return tuple(as_tuple(v) for v in value)
    return value


def json_object(text: str | Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """Returns the object that a JSON text holds, or the one that was read from it already.

    Raises InputError, which says `what` it was to be, for any other text.
    """
    if isinstance(text, str):
        try:
            text = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{what} is no JSON: {error}") from None
    if not isinstance(text, Mapping):
        raise InputError(f"{what} must be a JSON object; given {str(text)[:80]!r}")
    return text
