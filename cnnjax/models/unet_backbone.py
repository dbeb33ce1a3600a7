"""U-Net's decoder over any classifier (Iglovikov & Shvets 2018, "TernausNet", arXiv 1801.05746).

The classifier's stages take the place of the contracting path, so that it can begin with weights
from elsewhere. The decoder is that of segmentation_models_pytorch: maps are repeated to twice their
size, and two normalised convolutions follow the copy of the stage.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.layers import NORMS, Conv, ConvBN
from cnnjax.layers.compose import concat
from cnnjax.layers.upsample import repeated
from cnnjax.models import backbones
from cnnjax.registry import Table


class BackboneUNet(nn.Module):
    """From the coarsest stage of a backbone to logits for every pixel.

    Attributes:
      backbone: a classifier in `models.MODELS`; its fields are given as `backbone_width`.
      width: features of the decoder at full resolution; as many times more as maps are smaller.
    """

    classes: int = 2
    backbone: str = "resnet18"
    backbone_fields: tuple[tuple[str, Any], ...] = ()
    width: int = 16
    epsilon: float = 1e-5
    momentum: float = 0.9
    act: str = "relu"
    norm: str = "batch"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        norm = NORMS[self.norm](train, self.axis_name, epsilon=self.epsilon, momentum=self.momentum)
        unit = partial(
            ConvBN, kernel=3, norm=norm, act=self.act, use_bias=norm is None, dtype=self.dtype
        )
        network = backbones.backbone(
            self.backbone, self.axis_name, self.dtype, **dict(self.backbone_fields)
        )
        size, stages = x.shape[1:3], backbones.stages(network, x.shape[-1])
        maps = backbones.maps(self, network, x, train)
        x = maps[stages[-1].name]
        wanted: list[Any] = [(stage.stride, maps[stage.name]) for stage in reversed(stages[:-1])]
        for stride, copy in wanted if stages[0].stride == 1 else [*wanted, (1, None)]:
            x = repeated(x, size if copy is None else copy.shape[1:3])
            x = x if copy is None else concat(x, copy)
            for j in (1, 2):
                x = unit(self.width * stride, name=f"decoder{stride}_block{j}")(x)
        x = Conv(self.classes, 3, dtype=self.dtype, name="head")(repeated(x, size))
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


MODELS = Table("network", unet_backbone=BackboneUNet)
