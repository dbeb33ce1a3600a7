"""A network of an oracle with drawn weights, and ours with the same from the oracle's own file."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cnnjax import transfer
from tests.oracles import compare
from tests.oracles.cases import Case


@dataclasses.dataclass(frozen=True)
class Pair:
    """What is compared, on images of (2, side, side, channels)."""

    case: Case
    framework: ModuleType
    model: Any
    path: Path
    images: np.ndarray

    def ours(self, **fields: Any) -> tuple[Any, Any]:
        """Returns our network and the variables from the oracle's file."""
        shape = self.images.shape[1:] if self.case.flattens else None
        dialect = self.case.dialect or None
        fields = dict(self.case.told) | fields
        return transfer.load(self.case.name, self.path, None, dialect, input_shape=shape, **fields)

    def errors(self, double: bool = False, **fields: Any) -> dict[str, float]:
        """Returns stage -> relative difference, in the order of the network; "logits" is last."""
        network, variables = self.ours(**fields)
        stages = self.case.stages(network)
        theirs, their_stages = self.framework.outputs(self.model, self.images, stages, double)
        ours, our_stages = compare.outputs(network, variables, self.images, stages, double)
        apart = compare.relative(theirs[0], theirs[1])
        assert apart > 1e-3, f"the oracle tells two images apart by {apart:.1e} only"
        errors = {s: compare.relative(our_stages[s], their_stages[s]) for s in stages}
        return errors | {"logits": compare.relative(ours, theirs)}


def make(case: Case, side: int, folder: Path) -> Pair:
    """Builds the oracle's network for images of `side` pixels, draws its weights, writes them."""
    framework = framework_of(case)
    generator = np.random.default_rng(zlib.crc32(f"{case} {side}".encode()))
    model = framework.build(case.source, case.oracle, side)
    framework.randomise(model, generator, case.gain)
    images = generator.standard_normal((2, side, side, case.channels), np.float32)
    return Pair(case, framework, model, framework.write(model, folder, side), images)


def framework_of(case: Case) -> ModuleType:
    """Returns the module that runs the oracle; skips where its packages are not installed."""
    packages = {"keras": ["keras"], "torchvision": ["torchvision"], "timm": ["torchvision", "timm"]}
    for package in packages.get(case.source, ["torch"]):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}, which `make oracles` installs")
    return importlib.import_module(
        "tests.oracles." + ("keras_side" if case.source == "keras" else "torch_side")
    )
