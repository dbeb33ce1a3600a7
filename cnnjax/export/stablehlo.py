"""A network as a program of StableHLO with its weights inside, for any batch.

The program takes pixels and normalises them itself. Beside it lies a JSON object, the record that
`transfer.record` describes, with the classes and what is to be done to an image before.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax import compiler
from cnnjax.evaluation import program
from cnnjax.evaluation.trained import Trained
from cnnjax.export import tensors
from cnnjax.images import description
from cnnjax.transfer import record

PLATFORMS = ("cpu", "cuda", "tpu")


def stablehlo(network: Trained, path: Path) -> list[str]:
    """Writes the program by `jax.export`, and the record beside it."""
    batch = jax.export.symbolic_shape("batch")[0]
    pixels = jax.ShapeDtypeStruct((batch, *network.shape), jnp.float32)
    made = compiler.exported(logits_of(network), pixels, platforms=PLATFORMS)
    path.write_bytes(made.serialize())
    beside = describe(network, path, program.KEY)
    shape = ", ".join(map(str, network.shape))
    return [
        f"takes pixels from 0 to 255, float32 (batch, {shape}), any batch; gives logits "
        f"(batch, {made.out_avals[0].shape[-1]}); for {', '.join(PLATFORMS)}",
        f"jax.export.deserialize(open({path.name!r}, 'rb').read()).call(pixels) runs it without "
        f"cnnjax; {beside.name} names the classes and says how images get their size",
    ]


def logits_of(network: Trained) -> Callable[[jax.Array], Any]:
    """Returns the function from pixels in [0, 255], float32, to logits, computed in float32."""
    module = in_float32(network.module)
    return lambda pixels: module.apply(network.variables, network.preprocess(pixels), train=False)


def describe(network: Trained, path: Path, kind: str) -> Path:
    """Writes the record of a program of a `kind` beside it; returns its path."""
    about = tensors.about(network)
    raw = dataclasses.replace(about.preprocessing, scale=1.0, mean=(0.0,), std=(1.0,), order="rgb")
    told = record.Record(
        network={kind: description.digest(path)},
        input_shape=network.shape,
        task=tensors.task_of(network),
        description=dataclasses.replace(about, preprocessing=raw),
        weights="",
    )
    beside = program.beside(path)
    beside.write_text(json.dumps(json.loads(record.as_json(told)), indent=2) + "\n")
    return beside


def in_float32(module: Any) -> Any:
    """Returns the module computing in float32, as its variables are."""
    return module.clone(dtype=None) if getattr(module, "dtype", None) is not None else module
