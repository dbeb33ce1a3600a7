"""What every network returns for weights that are a function of their own names.

The names and shapes of the weights are a public format, and the logits are what a trained network
would answer: neither may move unseen. `python -m tests.golden` (`make golden`) writes
`networks.json` anew; review its difference, and say in the CHANGELOG why numbers moved.
"""

from __future__ import annotations

import functools
import json
import math
import zlib
from pathlib import Path

import jax
import numpy as np
from flax import linen as nn

from cnnjax import models, tree

FILE = Path(__file__).parent / "networks.json"
CLASSES = 10
TOLERANCE = 1e-4
# Pixels per side and channels; where it is not the usual, the smallest that the network takes.
IMAGE = (32, 3)
IMAGES = {
    "alexnet": (67, 3),
    "first_convnet": (28, 1),
    "inception_resnet_v2": (75, 3),
    "inception_v3": (75, 3),
    "lenet5": (28, 1),
    "mnist_cnn": (28, 1),
    "one_block_cnn": (28, 1),
}


# In which variant a name was first written down, where that is not the default any more.
DIALECTS = {"resnet50": "keras", "resnet101": "keras", "resnet152": "keras"}


def network(name: str, classes: int = CLASSES) -> nn.Module:
    return models.build(name, classes, DIALECTS.get(name))


def image_shape(name: str) -> tuple[int, int, int]:
    side, channels = IMAGES.get(name, IMAGE)
    return side, side, channels


def noise(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns uniform numbers of mean 0 and variance 1 that depend on `name` alone."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return ((generator.random(shape) * 2 - 1) * math.sqrt(3)).astype(np.float32)


def leaf(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a leaf of a size that keeps activations within a few orders of magnitude."""
    values = noise(name, shape)
    kind = name.rsplit("/", 1)[1]
    if kind == "kernel":
        return values * np.float32(math.sqrt(2 / math.prod(shape[:-1])))
    return values * np.float32(0.1) + np.float32(kind in ("scale", "var"))


def weights(shapes: dict[str, tuple[int, ...]]) -> dict:
    return tree.unflatten({name: leaf(name, shape) for name, shape in shapes.items()})


@functools.cache
def shapes_of(name: str, classes: int = CLASSES) -> dict[str, tuple[int, ...]]:
    """Returns leaf name -> shape of the variables of the network `name`."""
    return tree.shapes(models.check_input(network(name, classes), image_shape(name)))


def logits(name: str) -> np.ndarray:
    """Returns the logits of two images of noise, (2, CLASSES).

    Of pixels those of a few; of a detector a part of all that it says.
    """
    module = network(name)
    images = noise(name, (2, *image_shape(name)))
    with jax.default_matmul_precision("highest"):
        found = jax.jit(module.apply)(weights(shapes_of(name)), images)
    if isinstance(found, dict):
        said = (found[key] for key in ("logits", "distances", "centredness"))
        return np.concatenate([np.reshape(x, (len(x), -1))[:, ::8] for x in said], axis=1)
    found = np.asarray(found)
    return found if found.ndim == 2 else found[:, ::8, ::8].reshape(len(found), -1)


def outline(shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """Returns top-level module -> its counts, and a checksum of its names and shapes."""
    modules: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for name, shape in sorted(shapes.items()):
        modules.setdefault(name.split("/")[1], []).append((name, shape))
    return {
        module: f"{len(leaves)} leaves, {sum(math.prod(shape) for _, shape in leaves)} numbers, "
        f"{zlib.crc32(repr(leaves).encode()):08x}"
        for module, leaves in modules.items()
    }


def read() -> dict[str, dict]:
    return json.loads(FILE.read_text())


def distance(found: np.ndarray, wanted: list[list[float]]) -> float:
    """Returns the norm of the difference, relative to that of `wanted`."""
    return float(np.linalg.norm(found - np.array(wanted)) / np.linalg.norm(wanted))


def write() -> None:
    """Writes the file anew; what has moved by no more than the tests allow stays as it is."""
    before, lines = read(), []
    for name in models.MODELS:
        values, entry = logits(name), before.get(name, {})
        if not entry or distance(values, entry["logits"]) > TOLERANCE:
            print(f"{name}: logits moved")
            entry["logits"] = [[float(f"{v:.6g}") for v in row] for row in values]
        if entry.get("modules") != outline(shapes_of(name)):
            print(f"{name}: names or shapes moved")
            entry["modules"] = outline(shapes_of(name))
        lines.append(f"{json.dumps(name)}: {json.dumps(entry)}")
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
