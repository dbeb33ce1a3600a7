"""The calls of a functional Keras model: what each takes, and an order in which all can be made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from cnnjax.errors import InputError
from cnnjax.transfer.graph import Call, Value


@dataclasses.dataclass(frozen=True)
class Pending:
    """A call whose inputs may not be there yet; a History stands for each."""

    name: str
    record: Mapping[str, Any]
    number: int
    inputs: tuple[Any, ...]
    frozen: bool


@dataclasses.dataclass(frozen=True)
class History:
    """The `part`-th result of the `number`-th call of a layer."""

    layer: str
    number: int
    part: int


def trained(record: Mapping[str, Any]) -> bool:
    """Returns whether the author trained a layer's parameters."""
    config = record["config"]
    return not isinstance(config, Mapping) or config.get("trainable", True) is not False


def ordered(pending: list[Pending], found: Mapping[str, Any]) -> tuple[list[Call], dict[Any, int]]:
    """Returns the calls, each after those that it needs, and (layer, number) -> its place."""
    calls: list[Call] = []
    places: dict[tuple[str, int], int] = {}
    while pending:
        waiting = []
        for item in pending:
            if any((h.layer, h.number) not in places for h in histories(item.inputs)):
                waiting.append(item)
                continue
            name, computed, record = found[item.name]
            inputs = resolved(item.inputs, places)
            places[item.name, item.number] = len(calls)
            kind = record["class_name"]
            told = (kind, item.name, trained(record))
            calls.append(Call(name, computed, inputs, item.frozen, *told))
        if len(waiting) == len(pending):
            names = ", ".join(item.name for item in waiting[:5])
            raise InputError(f"the calls of {names} need results that no call gives")
        pending = waiting
    return calls, places


def histories(inputs: Any) -> list[History]:
    if isinstance(inputs, History):
        return [inputs]
    if isinstance(inputs, tuple):
        return [found for part in inputs for found in histories(part)]
    return []


def resolved(inputs: Any, places: Mapping[Any, int]) -> Any:
    if isinstance(inputs, History):
        return place(inputs, places)
    if isinstance(inputs, tuple):
        return tuple(resolved(part, places) for part in inputs)
    return inputs


def place(entry: History, places: Mapping[Any, int]) -> Value:
    if (entry.layer, entry.number) not in places:
        raise InputError(f"the model names a result of {entry.layer} that no call gives")
    return Value(places[entry.layer, entry.number], entry.part)


def endings(entries: Any) -> list[Any]:
    """Returns a list of [layer, call, part], from one of them, too, or from a dict."""
    if isinstance(entries, Mapping):
        entries = list(entries.values())
    return [entries] if entries and isinstance(entries[0], str) else list(entries)


def history(entry: Any) -> History:
    source, number, part = entry[:3]
    if not isinstance(number, int) or not isinstance(part, int) or part < 0:
        raise InputError(f"the model names a result as {entry!r}")
    return History(str(source), number, part)


def arguments(node: Any, source: str) -> tuple[tuple[Any, ...], bool]:
    """Returns the inputs of one call, and whether it computes as in evaluation."""
    if isinstance(node, Mapping):
        given, keywords = [argument(value, source) for value in node["args"]], node["kwargs"]
    else:
        entries = [node] if node and isinstance(node[0], str) else node
        given = [history(entry) for entry in entries]
        keywords = dict(pair for entry in entries if len(entry) > 3 for pair in entry[3].items())
    frozen = False
    for name, value in keywords.items():
        if name == "training" and value is not True:
            frozen = frozen or value is False
        elif value is not None and not (name == "mask" and empty(value)):
            raise InputError(f"layer {source} is called with {name}={value!r}: not known")
    if len(given) == 1 and isinstance(given[0], tuple):
        given = list(given[0])
    return tuple(given), frozen


def empty(value: Any) -> bool:
    return isinstance(value, Sequence) and all(part is None for part in value)


def argument(value: Any, source: str) -> Any:
    """Returns what an argument of a call says in Keras 3: a result, several, or a constant."""
    if isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
        return history(value["config"]["keras_history"])
    if isinstance(value, Mapping) and value.get("class_name") == "__tuple__":
        value = value["config"].get("value", value["config"].get("items"))
    if isinstance(value, list | tuple):
        return tuple(argument(part, source) for part in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise InputError(f"layer {source} is called with {value!r}: not known")
