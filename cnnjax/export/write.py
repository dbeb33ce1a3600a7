"""A trained network into a file: what all formats share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from cnnjax.errors import Failure, InputError
from cnnjax.evaluation.trained import Trained
from cnnjax.export import keras, onnx, tensors, torch
from cnnjax.export.stablehlo import stablehlo
from cnnjax.registry import Table
from cnnjax.workdir.disk import tells_of_a_full_disk

# From a network and an empty file's path to sentences for people on what the file takes and gives.
FORMATS: Table[Callable[[Trained, Path], list[str]]] = Table(
    "format",
    keras=keras.weights,
    onnx=onnx.onnx,
    safetensors=tensors.safetensors_file,
    stablehlo=stablehlo,
    torch=torch.state_dict,
)


def write(network: Trained, form: str, path: Path, overwrite: bool = False) -> list[str]:
    """Writes a network as the `form` says; returns sentences on what the file takes and gives.

    The file appears as a whole or not at all; one that is there is replaced with `overwrite` only.

    Raises InputError where the format does not hold this network, or where nothing can be written.
    """
    writer = FORMATS[form]
    check_output(path, overwrite)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            part = Path(folder) / path.name
            said = writer(network, part)
            for written in Path(folder).iterdir():  # the file, and what some formats put beside it
                os.replace(written, path.with_name(written.name))
    except (InputError, Failure):
        raise
    except Exception as error:
        if tells_of_a_full_disk(error):
            raise Failure(f"no space is left on the disk of {path}; nothing was written") from error
        if isinstance(error, OSError):
            raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
        raise
    return said


def check_output(path: Path, overwrite: bool) -> None:
    """Refuses a path at which no file can be, or at which there is one already."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; --overwrite replaces it")
