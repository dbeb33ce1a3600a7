"""How examples reach the devices: as pixels, or as places in a set that lies there."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from cnnjax import data
from cnnjax.errors import InputError
from cnnjax.parallel import Mapper

# The part of a device's memory that a resident set may take.
SHARE = 0.25
# Steps in one call on a GPU or TPU, where each call costs the host more than a small step takes.
STEPS = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Feed:
    """The training split of a run, and the batches of its steps.

    Attributes:
      resident: the whole split on every device, its arrays by name, in a tuple of one; an empty
        tuple where it lies with the host, which sends the batches of steps to come while the
        devices compute.
      steps: in one call of the devices.
      places: from a step to the places of this process's examples in the split.
      images: from a step to its images, decoded ahead, where they are on disk.
    """

    split: data.Split
    mapper: Mapper
    resident: tuple[dict[str, jax.Array], ...]
    steps: int
    places: Callable[[int], np.ndarray]
    images: Callable[[int], np.ndarray] | None = None

    def batches(self, step: int, count: int) -> dict[str, jax.Array]:
        """Returns the batches of `count` steps from `step` on, on the devices.

        Their leaves have the shape (batch_size, count, ...), so that the devices share the first
        dimension: `index` where the split is resident, else the arrays of examples.
        """
        steps = range(step, step + count)
        index = np.stack([self.places(s) for s in steps], 1)
        if self.resident:
            return self.mapper.split({"index": index})
        if self.images is None:
            return self.mapper.split({name: x[index] for name, x in self.split.arrays.items()})
        batch = {name: x[index] for name, x in self.split.targets.items()}
        images = np.stack([self.images(s) for s in steps], 1)
        return self.mapper.split({data.IMAGE: images, **batch})


def feed(config: Mapping[str, Any], split: data.Split, mapper: Mapper) -> Feed:
    """Returns the feed of a config; on accelerators, a split that fits is put on each of them."""
    wanted, steps = config["data"]["resident"], config["parallel"]["steps_per_call"]
    accelerated = mapper.platform != "cpu"
    # A streamed set stays where it is unless told otherwise: the host could not hold it.
    streamed = isinstance(split.images, data.Files)
    auto = wanted == "auto" and accelerated and not streamed and fits(split, mapper)
    lies_there = wanted == "yes" or auto
    if steps > 1 and not lies_there:
        raise InputError(
            f"parallel.steps_per_call={steps} needs the data on the devices: data.resident=yes"
        )
    resident = ()
    if lies_there:
        arrays = {name: np.asarray(x) for name, x in split.arrays.items()}
        resident = (mapper.replicate(arrays),)
    steps = steps or (STEPS if lies_there and accelerated else 1)
    places = functools.partial(
        places_of, len(split), config["seed"], config["batch_size"],
        mapper.part(config["batch_size"]), order_of(config, split),
    )  # fmt: skip
    images = None
    if streamed and not resident:
        images = data.ahead(split.images, places, config["data"]["decoders"])
    return Feed(split, mapper, resident, steps, places, images)


def places_of(
    count: int, seed: int, batch_size: int, rows: slice, order: data.Order, step: int
) -> np.ndarray:
    """Returns the places of one process's examples of a step."""
    return data.batch_indices(count, seed, step, batch_size, order)[rows]


def order_of(config: Mapping[str, Any], split: data.Split) -> data.Order:
    """Returns the order of examples that the config's `data.sampling` names."""
    if config["data"]["sampling"] == "uniform":
        return data.order
    if "label" not in split.targets:
        raise InputError("data.sampling=balanced needs classes: each example with a label")
    return data.Balanced(np.asarray(split.targets["label"]))


def fits(split: data.Split, mapper: Mapper) -> bool:
    """Returns whether the split takes no more than its share of a device's memory."""
    memory = mapper.mesh.local_devices[0].memory_stats() or {}
    return sum(x.nbytes for x in split.arrays.values()) <= SHARE * memory.get("bytes_limit", 0)


def chosen(
    batch: Mapping[str, jax.Array], resident: Mapping[str, jax.Array] | None = None
) -> dict[str, Any]:
    """Returns the arrays of one step by name, (batch, ...), wherever they come from."""
    if resident is None:
        return dict(batch)
    index = batch["index"]
    return {name: x.at[index].get(mode="promise_in_bounds") for name, x in resident.items()}
