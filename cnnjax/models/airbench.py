"""The network of airbench94 for CIFAR-10 in seconds (Jordan 2024, arXiv 2404.00498, section 3).

Whitening patches of 2x2 pixels takes the place of a learned stem there: by the eigenvectors of the
training set. Here it is by cosines, which those of photographs resemble, and a normalisation.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cnnjax.layers import ACTIVATIONS, NORMS, POOLS, Conv, ConvBN, Dense
from cnnjax.registry import Table


def cosine_filters(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Returns every product of cosines over height, width and channels, and its negative."""
    del key
    height, width, channels, _ = shape
    filters = np.einsum("iy,jx,kc->yxcijk", cosines(height), cosines(width), cosines(channels))
    filters = filters.reshape(height, width, channels, -1)
    return jnp.asarray(np.concatenate([filters, -filters], -1), dtype)


def cosines(n: int) -> np.ndarray:
    """Returns the orthonormal cosine transform of n numbers, (frequencies, n)."""
    k, i = np.arange(n)[:, None], np.arange(n)
    scale = np.where(k == 0, math.sqrt(1 / n), math.sqrt(2 / n))
    return scale * np.cos(np.pi * k * (i + 0.5) / n)


def dirac(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Returns filters of which the first hand their channels on, and the others are random."""
    height, width, channels, features = shape
    bound = 1 / math.sqrt(height * width * channels)
    filters = jax.random.uniform(key, shape, dtype, -bound, bound)
    same = min(channels, features)
    identity = jnp.zeros((height, width, channels, same), dtype)
    identity = identity.at[height // 2, width // 2].set(jnp.eye(channels, same, dtype=dtype))
    return filters.at[..., :same].set(identity)


class Airbench(nn.Module):
    """2x2 stem, three stages of two 3x3 convolutions, each pooled after the first; pool; head.

    32 -> 31, 15, 7, 3, 1 pixels.

    Attributes:
      features: of the stages.
      scale: of the logits.
    """

    classes: int = 10
    features: tuple[int, ...] = (64, 256, 256)
    scale: float = 1 / 9
    epsilon: float = 1e-12
    momentum: float = 0.6
    act: str = "gelu"
    norm: str = "batch"
    pool: str = "max"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        act, pool = ACTIVATIONS[self.act], POOLS[self.pool]
        norm = NORMS[self.norm](
            train, self.axis_name, epsilon=self.epsilon, momentum=self.momentum, use_scale=False
        )
        conv = partial(Conv, use_bias=False, dtype=self.dtype, kernel_init=dirac)
        unit = partial(ConvBN, norm=norm, act=self.act, dtype=self.dtype)
        stem = partial(unit, 8 * x.shape[-1], 2, padding="valid", kernel_init=cosine_filters)
        x = stem(name="stem")(x)
        for i, features in enumerate(self.features, 1):
            x = pool(conv(features, name=f"stage{i}_block1")(x), 2)
            x = act(x if norm is None else norm(name=f"stage{i}_norm")(x))
            x = unit(features, kernel_init=dirac, name=f"stage{i}_block2")(x)
        x = pool(x, x.shape[1:-1]).reshape(x.shape[0], -1)
        x = Dense(self.classes, use_bias=False, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32)) * self.scale


MODELS = Table("network", airbench=Airbench)
