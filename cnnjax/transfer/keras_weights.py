"""The arrays of a Keras file, by the layers of a plan.

Two layouts. Until Keras 2.11 and in `.h5` a group per layer of the outermost model lists its arrays
(`weight_names`), those of the models inside among them. Since then groups are called by class and
number, in the order of the layers, and lie in each other as models do.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from cnnjax.errors import InputError
from cnnjax.transfer.graph import Call, Layer, Plan
from cnnjax.transfer.hdf5 import Contents

CONTAINERS = ("layers", "_layer_checkpoint_dependencies", "_functional/layers")
# States of random numbers, which no layer of ours has.
IGNORED = ("seed_generator", "seed_generator_state")

Arrays = dict[str, np.ndarray]


def variables(plan: Plan, contents: Contents) -> Arrays:
    """Returns leaf ("params/conv1/kernel") -> array, float32, in our layout.

    An InputError tells of layers whose arrays are missing, and of arrays that no layer takes.
    """
    used: set[str] = set()
    layout = listed if listing(contents) is not None else grouped
    leaves = dict(layout(plan, contents, used))
    left = [
        name
        for name in contents.arrays
        if name not in used and not set(name.split("/")) & set(IGNORED)
    ]
    if left:
        shapes = ", ".join(f"{name} {contents.arrays[name].shape}" for name in left[:5])
        raise InputError(f"{len(left)} arrays belong to no layer of the config: {shapes}")
    return leaves


def layers_of(plan: Plan) -> list[Call]:
    """Returns one call of each layer, in the order of the config."""
    found = {call.name: call for call in plan.calls if call.layer is not None}
    return [found[name] for name in plan.order if name in found]


def filled(path: str, layer: Layer, arrays: list[Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the leaves of a layer, from its arrays in their order."""
    wanted = [leaf for leaf in layer.leaves if leaf.path] if len(arrays) < len(layer.leaves) else (
        layer.leaves)  # fmt: skip
    if len(arrays) != len(wanted):
        shapes = ", ".join(str(array.shape) for array in arrays) or "none"
        raise InputError(
            f"layer {path} takes {len(wanted)} arrays; the file holds {len(arrays)}: {shapes}"
        )
    for leaf, array in zip(wanted, arrays, strict=True):
        if leaf.path:
            collection, _, rest = leaf.path.partition("/")
            try:
                values = leaf.arranged(array) if leaf.arranged else array
            except (ValueError, IndexError) as error:
                raise InputError(f"layer {path}: an array of {array.shape} does not fit") from error
            yield f"{collection}/{path}/{rest}", np.asarray(values, np.float32)


def grouped(
    plan: Plan, contents: Contents, used: set[str], root: str = "", path: str = ""
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the leaves by groups of class and number."""
    places = {name.rpartition("/")[0] for name in contents.arrays}
    container = next(
        (
            root + kind
            for kind in CONTAINERS
            if any(place.startswith(f"{root}{kind}/") for place in places)
        ),
        root + CONTAINERS[0],
    )
    counts: collections.Counter[str] = collections.Counter()
    for call in layers_of(plan):
        name, source, kind, layer = call.name, call.source, call.kind, call.layer
        group = snake_case(kind)
        number = counts[group]
        counts[group] += 1
        inside = f"{container}/{group}_{number}" if number else f"{container}/{group}"
        if isinstance(layer, Plan):
            yield from grouped(layer, contents, used, f"{inside}/", f"{path}{name}/")
            continue
        assert layer is not None
        told = contents.attributes.get(f"{inside}/vars", {}).get("name", source)
        if told != source:
            raise InputError(f"the arrays of layer {source} are those of a layer {told}")
        found = []
        while (place := f"{inside}/vars/{len(found)}") in contents.arrays:
            used.add(place)
            found.append(widened(contents, place))
        yield from filled(path + name, layer, found)


def widened(contents: Contents, place: str) -> np.ndarray:
    """Returns an array by its path; bfloat16 is stored as another type of two bytes."""
    array = contents.arrays[place]
    if contents.attributes.get(place, {}).get("dtype") == "bfloat16":
        return array.view(ml_dtypes.bfloat16)
    return array


def snake_case(name: str) -> str:
    """Returns "max_pooling2d" for "MaxPooling2D": a word begins where lower case ends or begins."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\w)(?=[A-Z][a-z])", "_", name).lower()


def listing(contents: Contents) -> str | None:
    """Returns the path of the group that lists layers, "" or "model_weights/"; None without one."""
    return next((r for r in ("model_weights/", "") if names(contents, r, "layer_names")), None)


def names(contents: Contents, group: str, attribute: str) -> list[str]:
    """Returns a list of names; Keras cuts what is too long for an attribute into name0, ..."""
    attributes: Mapping[str, Any] = contents.attributes.get(group.rstrip("/"), {})
    parts = [attribute] if attribute in attributes else []
    while f"{attribute}{len(parts)}" in attributes:
        parts.append(f"{attribute}{len(parts)}")
    return [word for part in parts for word in attributes[part]]


def listed(plan: Plan, contents: Contents, used: set[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the leaves by the lists of each layer's arrays."""
    prefix = listing(contents)
    assert prefix is not None
    for call in layers_of(plan):
        name, source, layer = call.name, call.source, call.layer
        group = prefix + source
        found: list[tuple[str, np.ndarray]] = []
        for word in names(contents, group, "weight_names"):
            array = contents.arrays.get(f"{group}/{word}")
            if array is None:
                raise InputError(f"the file lists {word} of layer {source}, but does not hold it")
            used.add(f"{group}/{word}")
            if word.rpartition("/")[2].partition(":")[0] not in IGNORED:
                found.append((word, array))
        if isinstance(layer, Plan):
            yield from nested(f"{name}/", layer, found)
        elif layer is not None:
            yield from filled(name, layer, [array for _, array in found])


def nested(
    path: str, plan: Plan, arrays: list[tuple[str, np.ndarray]]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the leaves of a model inside: what is trained comes first, in the order of the layers.

    Where the names of the arrays say otherwise, they decide.
    """
    slots = sorted(slots_of(path, plan), key=lambda slot: not slot.trainable)
    owners = [word.rpartition("/")[0] for word, _ in arrays]
    if len(slots) != len(arrays) or not all(map(belongs, owners, slots)):
        if len({slot.source for slot in slots}) < len({slot.path for slot in slots}):
            raise InputError(f"the arrays of {path[:-1]} cannot be told apart by their names")
        by_source = {slot.source: slot for slot in slots}
        slots = [by_source.get(owner.rpartition("/")[2]) for owner in owners]
    found: dict[str, list[np.ndarray]] = {slot.path: [] for slot in slots_of(path, plan)}
    for slot, (word, array) in zip(slots, arrays, strict=True):
        if slot is None:
            raise InputError(f"no layer of {path[:-1]} takes {word}")
        found[slot.path].append(array)
    layers = {slot.path: slot.layer for slot in slots_of(path, plan)}
    for place, mine in found.items():
        yield from filled(place, layers[place], mine)


@dataclasses.dataclass(frozen=True)
class Slot:
    """A variable of a layer in a model, and whether it is trained."""

    path: str
    source: str
    layer: Layer
    trainable: bool


def slots_of(path: str, plan: Plan) -> Iterator[Slot]:
    for call in layers_of(plan):
        if isinstance(call.layer, Plan):
            yield from slots_of(f"{path}{call.name}/", call.layer)
        elif call.layer is not None:
            for leaf in call.layer.leaves:
                trained = call.trainable and leaf.path.startswith("params/")
                yield Slot(path + call.name, call.source, call.layer, trained)


def belongs(owner: str, slot: Slot) -> bool:
    """Whether an array's path without its own name says that it is of a layer."""
    return f"/{owner}".endswith(f"/{slot.source}")
