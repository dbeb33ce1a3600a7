"""State dicts of PyTorch, in its own container, without PyTorch.

The container: a zip file with one pickle, which calls `torch._utils._rebuild_tensor_v2` per tensor,
and the numbers of each in a member of their own. The pickle is put together from its opcodes, since
Python's pickler would have to import what it names.
"""

from __future__ import annotations

import math
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.evaluation.trained import Trained
from cnnjax.export import namesakes, tensors
from cnnjax.transfer import torch as theirs

INSTEAD = "--format=safetensors holds any network, stablehlo its program"
DATE = (1980, 1, 1, 0, 0, 0)  # one network gives one file


def state_dict(network: Trained, path: Path) -> list[str]:
    """Writes the state dict that the network's namesake loads."""
    rule = namesakes.rule_of(network, "torch", INSTEAD)
    plan, names = namesakes.sources(network, rule)
    arrays = tensors.leaves(network)
    found: dict[str, np.ndarray] = {}
    before = None  # features of the module called before
    for module, leaves in plan.modules.items():
        channels = before if re.fullmatch(rule.flattens, module) else None
        for leaf in leaves:
            found[names[leaf]] = theirs.as_filed(arrays[leaf], channels)
        before = plan.shapes[leaves[0]][-1]
    name = network.network["name"]
    if rule.dialect == "timm" and (dense := namesakes.CONVOLVED.get(name)):
        found[dense] = found[dense][:, :, None, None]
    write(path, found)
    there = namesakes.TIMM.get(name, name) if rule.dialect == "timm" else name
    return [
        f"{len(found)} tensors named as in {rule.preprocessing or rule.dialect}'s {there}: "
        f"load_state_dict(torch.load({path.name!r})); it takes "
        f"{tensors.spoken(network.preprocessing)}",
        f"classes in their order: {tensors.listed(network.class_names)}",
    ]


def write(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes tensors by name, little-endian, as `torch.save` does with a state dict."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, content: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(f"archive/{name}", DATE), content)

        add("data.pkl", b"".join(pickled(state)))
        add("byteorder", b"little")
        for key, array in enumerate(state.values()):
            add(f"data/{key}", np.ascontiguousarray(array, "<f4").tobytes())
        add("version", b"3\n")


def pickled(state: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    """Yields the opcodes of a dict of tensors, whose numbers are storages called "0", "1", ..."""
    yield b"\x80\x02}("
    for key, (name, array) in enumerate(state.items()):
        strides = tuple(math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim))
        storage = b"(" + literal("storage") + b"ctorch\nFloatStorage\n"
        storage += literal(str(key)) + literal("cpu") + literal(array.size) + b"tQ"
        yield literal(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage
        yield literal(0) + literal(array.shape) + literal(strides) + literal(False)
        yield b"ccollections\nOrderedDict\n)RtR"
    yield b"u."


def literal(value: Any) -> bytes:
    """Returns the opcodes of a plain value: its pickle without header and stop."""
    return pickle.dumps(value, 2)[2:-1]
