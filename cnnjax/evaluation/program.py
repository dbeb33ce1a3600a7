"""A network that comes as a program of StableHLO, as `experiments.export` writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from flax import linen as nn

from cnnjax.errors import InputError
from cnnjax.images import description
from cnnjax.transfer import record

KEY = "stablehlo"  # of the digest of the program, in the record beside it
LARGEST = 16 << 20  # bytes of a record
# Whatever leaves the program: calls of functions by name, files, other processes.
# Symbolic sizes are checked by shape_assertion.
OUTWARD = r"stablehlo\.(custom_call @(?!shape_assertion\b)[^( ]+|infeed|outfeed|send|recv)"


class Program(nn.Module):
    """A program of JAX as a module without variables: pixels (batch, ...) in, logits out."""

    exported: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> Any:
        return self.exported.call(x)


def beside(path: Path) -> Path:
    """Returns the file that says what a program is."""
    return path.with_name(f"{path.name}.json")


def read(path: Path) -> tuple[Program, record.Record] | None:
    """Returns the program in a file and its record; None where no record lies beside it.

    Raises InputError for a program that is not the record's, or that calls anything outside it.
    """
    file = beside(path)
    if not file.is_file() or file.stat().st_size > LARGEST:
        return None
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    network = found.get("network") if isinstance(found, Mapping) else None
    if not isinstance(network, Mapping) or KEY not in network:
        return None
    told = record.of_object(found, str(file))
    if told.network[KEY] != description.digest(path):
        raise InputError(f"{path} is not the program that {file.name} is of, or it is damaged")
    try:
        exported = jax.export.deserialize(bytearray(path.read_bytes()))
        calls = re.search(OUTWARD, exported.mlir_module())
    except Exception as error:  # of flatbuffers, of MLIR, of JAX
        reason = (str(error).splitlines() or [repr(error)])[0][:200]
        raise InputError(f"{path} is no program that this version of JAX reads: {reason}") from None
    if calls:
        raise InputError(f"{path} has a {calls[0]}, which reaches outside of it: it is not run")
    return Program(exported), told
