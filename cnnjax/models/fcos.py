"""FCOS, a one-stage detector without anchors (Tian et al. 2019, arXiv 1904.01355, figure 2).

Every place of every level of a feature pyramid (Lin et al. 2016, 1612.03144) says which class of
object it lies in and how far that reaches to each side. Chosen over CenterNet (1904.07850), which
finds one object for each peak of a single map: two objects of one middle but of different sizes lie
on two levels here, any backbone serves as it is, without upsampling layers of its own, and what is
found depends on no maximum over neighbours, but on suppression, which states what overlap is
allowed. What a level is responsible for, and the loss, is `cnnjax.tasks.detection`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.errors import InputError
from cnnjax.layers import NORMS, Conv, ConvBN
from cnnjax.models import backbones
from cnnjax.registry import Table

# Section 3.1 of the focal loss (1708.02002): how likely an object is everywhere before training.
PRIOR = 0.01
# Of the logarithm of a distance in strides: no box of a finite number overflows.
LARGEST = 8.0

normal = nn.initializers.normal(0.01)


class FCOS(nn.Module):
    """Backbone, pyramid and two towers that all levels share; the outputs of the task detection.

    Attributes:
      classes: of objects.
      backbone, backbone_fields: a classifier and its fields, which a config gives one by one, as
        backbone_width.
      finest: the stride of the first level; the stages of this and larger strides are taken.
      levels: how many there are; those beyond the backbone's stages halve the last, twice the
        stride each.
      features: of the pyramid and the towers.
      depth: convolutions of each tower.
      reach: how far a level's boxes may reach to a side, in its strides, farther than those of the
        level before; without an end if it is the last.
      norm: of the towers, in layers.NORMS.
    """

    classes: int = 80
    backbone: str = "resnet50"
    backbone_fields: tuple[tuple[str, Any], ...] = ()
    finest: int = 8
    levels: int = 5
    features: int = 256
    depth: int = 4
    reach: float = 8.0
    norm: str = "group"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> dict[str, jax.Array]:
        network = backbones.backbone(
            self.backbone, self.axis_name, self.dtype, **dict(self.backbone_fields)
        )
        maps = backbones.maps(self, network, x, train)
        stages = backbones.stages(network, x.shape[-1])
        chosen = [stage for stage in stages if stage.stride >= self.finest][: self.levels]
        if not chosen:
            raise InputError(
                f"{self.backbone} has no stage of stride {self.finest} or more: its largest is "
                f"{stages[-1].stride}; give a smaller model.finest"
            )
        strides = [stage.stride for stage in chosen]
        pyramid = self.pyramid([maps[stage.name] for stage in chosen], strides)
        strides += [strides[-1] * 2 ** (i + 1) for i in range(self.levels - len(chosen))]
        norm = NORMS[self.norm](train, self.axis_name)
        head = Head(self.classes, self.features, self.depth, norm, self.dtype, name="head")
        parts = [head(level) for level in pyramid]
        for i, part in enumerate(parts):
            scaled = Scale(name=f"scale{i + 1}")(part["distances"])
            part["distances"] = jnp.exp(jnp.minimum(scaled, LARGEST))
        grid = [
            where(level.shape[1:3], stride, x.shape[1:3], *self.reaches(strides, i))
            for i, (level, stride) in enumerate(zip(pyramid, strides, strict=True))
        ]
        found = {name: jnp.concatenate([part[name] for part in parts], 1) for name in parts[0]}
        return found | {name: jnp.concatenate([part[name] for part in grid]) for name in grid[0]}

    def pyramid(self, maps: Sequence[jax.Array], strides: Sequence[int]) -> list[jax.Array]:
        """Returns the levels, the finest first."""
        conv = partial(Conv, dtype=self.dtype)
        top, levels = None, []
        for i, x in reversed(list(enumerate(maps))):
            x = conv(self.features, 1, name=f"lateral{i + 1}")(x)
            if top is not None:
                x = x + enlarged(top, strides[i + 1] // strides[i], x.shape[1:3])
            top = x
            levels.insert(0, conv(self.features, 3, name=f"level{i + 1}")(x))
        for i in range(len(maps), self.levels):
            x = levels[-1] if i == len(maps) else nn.relu(levels[-1])
            levels.append(conv(self.features, 3, 2, padding=1, name=f"level{i + 1}")(x))
        return levels

    def reaches(self, strides: Sequence[int], level: int) -> tuple[float, float]:
        low = self.reach * strides[level - 1] / strides[level] if level else 0.0
        return low, math.inf if level == self.levels - 1 else self.reach


class Scale(nn.Module):
    """Multiplies what the shared head says of the distances of one level (section 3.2)."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return x * self.param("scale", nn.initializers.ones, (1,), jnp.float32).reshape(1, 1, 1)


class Head(nn.Module):
    """Two towers, and what they say at each place of a level; of distances the logarithms."""

    classes: int
    features: int
    depth: int
    norm: Any
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        last = partial(Conv, kernel=3, dtype=self.dtype, kernel_init=normal)
        prior = nn.initializers.constant(-math.log((1 - PRIOR) / PRIOR))
        box = self.tower(x, "box")
        distances = last(4, name="distances")(box)
        # On the tower of the box, where it is better than on that of the class (section 4.1.3).
        centredness = last(1, name="centredness")(box)
        logits = last(self.classes, bias_init=prior, name="logits")(self.tower(x, "kind"))
        flat = {
            name: y.reshape(len(y), -1, y.shape[-1]).astype(jnp.promote_types(y.dtype, jnp.float32))
            for name, y in (("logits", logits), ("distances", distances), ("c", centredness))
        }
        return {
            "logits": flat["logits"],
            "distances": flat["distances"],
            "centredness": flat["c"][..., 0],
        }

    def tower(self, x: jax.Array, name: str) -> jax.Array:
        for i in range(self.depth):
            x = ConvBN(
                self.features, 3, norm=self.norm, use_bias=True, dtype=self.dtype,
                name=f"{name}{i + 1}",
            )(x)  # fmt: skip
        return x


def enlarged(x: jax.Array, times: int, size: Sequence[int]) -> jax.Array:
    """Returns the map with each pixel so many times along both axes, of (height, width) `size`.

    What is missing at the far edges, where the finer map is not a multiple, repeats the last pixel.
    """
    x = jnp.repeat(jnp.repeat(x, times, axis=1), times, axis=2)
    missing = [max(0, n - m) for n, m in zip(size, x.shape[1:3], strict=True)]
    if any(missing):
        x = jnp.pad(x, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    return x[:, : size[0], : size[1]]


def where(
    shape: Sequence[int], stride: int, image: Sequence[int], low: float, high: float
) -> dict[str, jax.Array]:
    """Returns `places`, `strides` and `reaches` of a level, row by row: see the task detection.

    Args:
      shape, image: height and width of the level, and of the image in pixels.
      low, high: what the level is responsible for, in strides.
    """
    height, width = image
    y, x = ((jnp.arange(n) + 0.5) * (stride / side) for n, side in zip(shape, image, strict=True))
    places = jnp.stack(jnp.meshgrid(x, y), -1).reshape(-1, 2)
    return {
        "places": places,
        "strides": jnp.broadcast_to(jnp.array([stride / width, stride / height]), places.shape),
        "reaches": jnp.broadcast_to(jnp.array([low, high]), places.shape),
    }


MODELS = Table("network", fcos=FCOS)
