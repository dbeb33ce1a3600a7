"""Convolutions, then dense layers, in a file that says no more: which networks it may be.

The tensors tell features, units and kernels; the number of inputs of the first dense layer bounds
image size, padding and pooling together. What fits is listed, what is usual first.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cnnjax.transfer import torch

SIDES = (28, 32, 64, 224, 96, 128, 48, 150, 227, 256, 299)
POOL_SIZES = (2, 3, 4)
MOST_CONVOLUTIONS = 8


@dataclasses.dataclass(frozen=True)
class Plain:
    """The sizes of a plain network: (features, kernel) of convolutions, units of dense layers.

    Attributes:
      inputs: of the first dense layer.
      units: of all dense layers; the last are the classes.
    """

    channels: int
    convolutions: tuple[tuple[int, int], ...]
    inputs: int
    units: tuple[int, ...]
    norm: bool
    conv_bias: bool


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network by name, fields and image size into which a file fits."""

    name: str
    fields: tuple[tuple[str, Any], ...]
    input_shape: tuple[int, int, int]


def plain(tensors: Mapping[str, np.ndarray]) -> Plain | None:
    """Returns the sizes of what a file holds; None where it is no plain network."""
    kinds = torch.kinds_of(tensors)
    weights = {m: tensors[f"{m}.weight"] for m in kinds}
    convolutions = [w for m, w in weights.items() if kinds[m] == 2]
    dense = [w for m, w in weights.items() if kinds[m] == 1]
    norms = len(kinds) - len(convolutions) - len(dense)
    if not dense or any(w.ndim != 4 or w.shape[2] != w.shape[3] for w in convolutions):
        return None
    if norms not in (0, len(convolutions)) or len(convolutions) > MOST_CONVOLUTIONS:
        return None
    inputs = dense[0].shape[1]
    after = [*(w.shape[:2] for w in convolutions[1:])]
    if any(w.shape[0] != n[1] for w, n in zip(convolutions, after, strict=False)):
        return None
    if any(w.shape[0] != n.shape[1] for w, n in itertools.pairwise(dense)):
        return None
    biased = all(f"{m}.bias" in tensors for m in kinds if kinds[m] == 2)
    return Plain(
        channels=convolutions[0].shape[1] if convolutions else 1,
        convolutions=tuple((w.shape[0], w.shape[2]) for w in convolutions),
        inputs=inputs,
        units=tuple(w.shape[0] for w in dense),
        norm=norms > 0,
        conv_bias=biased,
    )


def candidates(found: Plain) -> list[Candidate]:
    """Returns the networks that such a file fits, images of the usual size first."""
    usual = sides(found)[0]
    return sorted([*lenets(found), *convnets(found)], key=lambda one: one.input_shape[0] != usual)


def sides(found: Plain) -> tuple[int, ...]:
    """Returns image sides; those of the usual data sets of so many channels first."""
    return SIDES if found.channels == 1 else (32, *(s for s in SIDES if s not in (28, 32)), 28)


def lenets(found: Plain) -> Iterator[Candidate]:
    """LeNet-5, whose C5 may come as a convolution of the whole map."""
    convolutions, units, inputs = found.convolutions, found.units, found.inputs
    if len(convolutions) == 3 and convolutions[2][0] == inputs:
        (units, inputs) = ((inputs, *units), convolutions[1][0] * convolutions[2][1] ** 2)
        convolutions = convolutions[:2]
    if len(convolutions) != 2 or found.norm or len(units) != 3:
        return
    (first, kernel), (second, other) = convolutions
    if kernel != other or not found.conv_bias:
        return
    fields = {"features": (first, second), "units": units[:-1], "kernel": kernel}
    for side, padding in itertools.product(sides(found), ("same", "valid")):
        last = ((side - (kernel - 1) * (padding == "valid")) // 2 - kernel + 1) // 2
        if last > 0 and last**2 * second == inputs:
            chosen = tuple((fields | {"padding": padding}).items())
            yield Candidate("lenet5", chosen, (side, side, found.channels))


def convnets(found: Plain) -> Iterator[Candidate]:
    """The plain networks of `models.tutorial`."""
    fields: dict[str, Any] = {"units": found.units[:-1]}
    if found.norm:
        fields |= {"norm": "batch", "conv_bias": found.conv_bias}
    elif not found.conv_bias:
        return
    if not found.convolutions:
        side = round(found.inputs**0.5)
        if side**2 == found.inputs:
            yield Candidate("first_convnet", (("blocks", ()), *fields.items()), (side, side, 1))
        return
    # A list, since what is usual comes first: two pixels, a pooling after every convolution.
    for size, side in itertools.product(POOL_SIZES, sides(found)):
        for blocks in groupings(found.convolutions):
            kernels = tuple(kernel for _, kernel in (block[0] for block in blocks))
            if any(k != kernels[i] for i, block in enumerate(blocks) for _, k in block):
                continue
            for padding, pool_last in itertools.product(("same", "valid"), (True, False)):
                last = last_side(side, blocks, padding, size, pool_last)
                if last <= 0 or last**2 * found.convolutions[-1][0] != found.inputs:
                    continue
                if size != 2 and not pool_last and len(blocks) == 1:
                    continue  # pools nothing
                chosen: dict[str, Any] = {
                    "blocks": tuple(tuple(f for f, _ in block) for block in blocks)
                }
                chosen |= fields | {"padding": padding, "pool_last": pool_last}
                same = len(set(kernels)) == 1
                chosen |= {"kernel": kernels[0]} if same else {"kernels": kernels}
                chosen["pool_size"] = size
                shape = (side, side, found.channels)
                yield Candidate("first_convnet", tuple(chosen.items()), shape)


def groupings(items: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """Yields the ways to cut a sequence into blocks, every item alone first."""
    for cuts in itertools.product((True, False), repeat=len(items) - 1):
        blocks, block = [], [items[0]]
        for item, cut in zip(items[1:], cuts, strict=True):
            if cut:
                blocks.append(tuple(block))
                block = []
            block.append(item)
        yield (*blocks, tuple(block))


def last_side(
    side: int, blocks: tuple[Any, ...], padding: str, pool_size: int, pool_last: bool
) -> int:
    """Returns the side of the maps after the last block."""
    for i, block in enumerate(blocks, 1):
        if padding == "valid":
            side -= sum(kernel - 1 for _, kernel in block)
        if i < len(blocks) or pool_last:
            side //= pool_size
    return side
