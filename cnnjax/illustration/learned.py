"""A picture of what a trained network looks for: its first filters, and what they find."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from matplotlib.figure import Figure

from cnnjax import convolution, panels
from cnnjax.errors import InputError
from cnnjax.evaluation import trained

MOST = 8  # filters shown


def first_convolution(network: trained.Trained) -> tuple[str, Mapping[str, jax.Array]]:
    """Returns the first layer with filters on the image's own channels: its name, parameters."""
    channels = network.shape[-1]
    for name, params in network.variables["params"].items():
        weights = params.get("kernel")
        if getattr(weights, "ndim", 0) == 4 and weights.shape[-2] == channels:
            return name, params
    raise InputError("the network has no top-level convolution on its image to draw")


def filters(workdir: Path, index: int = 0) -> Figure:
    """A test image, the first filters, their maps, and what a ReLU leaves of these.

    Raises InputError where the workdir holds no network that begins with a convolution.
    """
    network = trained.load(workdir)
    split = trained.stored_data(network.config).test
    image = split.images[index : index + 1]
    name, params = first_convolution(network)
    maps = feature_maps(network, name, image)
    weights = np.asarray(convolution.layer_filters(params))[..., 0, :MOST]
    count = weights.shape[-1]
    figure, axes = panels.figure(3, count + 1, 1.15 * (count + 1), 3.9)
    label = network.class_names[int(split.targets["label"][index])]
    panels.photo(axes[0, 0], image[0, ..., 0], f"test image: {label}", 0, 255)
    captions = (
        "",
        "its maps:\nred where the\nfilter responds,\nblue where its\nnegative does",
        "after ReLU",
    )
    for ax, caption in zip(axes[1:, 0], captions[1:], strict=True):
        ax.text(0.5, 0.5, caption, ha="center", va="center", fontsize=panels.SMALL)
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1)
    for m in range(count):
        panels.signed(axes[0, m + 1], weights[..., m], f"filter {m}")
        panels.signed(axes[1, m + 1], maps[..., m])
        panels.signed(axes[2, m + 1], np.maximum(maps[..., m], 0))
    return figure


def feature_maps(network: trained.Trained, layer: str, image: np.ndarray) -> np.ndarray:
    """Returns the maps (height, width, features) that the top-level `layer` makes of one image."""

    def wanted(module: nn.Module, method: str) -> bool:
        return module.path == (layer,) and method == "__call__"

    _, found = network.module.apply(
        network.variables,
        network.preprocess(jnp.asarray(image)),
        train=False,
        capture_intermediates=wanted,
        mutable=["intermediates"],
    )
    return np.asarray(found["intermediates"][layer]["__call__"][0][0])
