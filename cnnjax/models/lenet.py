"""LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition", figure 2).

As usually built today: C3 sees every map of S2 instead of ten hand-picked subsets, subsampling has
no weights of its own, and the output layer is dense instead of radial basis functions: 61,706
parameters for 28x28x1 and 10 classes, against the paper's 60,000.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.layers import ACTIVATIONS, INITIALIZERS, POOLS, Conv, Dense, activated
from cnnjax.registry import Table


class LeNet(nn.Module):
    """C1, S2, C3, S4, C5, F6 and the classifier.

    Attributes:
      features: channels of C1 and C3.
      units: of C5 and F6.
      padding: of C1: "same" for 28x28 images, "valid" for the paper's 32x32.
      kernel_init: of all weights, in layers.INITIALIZERS; empty: he_normal of the convolutions and
        lecun_normal of the dense layers.
    """

    classes: int = 10
    features: tuple[int, int] = (6, 16)
    units: tuple[int, ...] = (120, 84)
    kernel: int = 5
    padding: str = "same"
    act: str = "tanh"
    pool: str = "average"
    kernel_init: str = ""
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        act, pool = ACTIVATIONS[self.act], POOLS[self.pool]
        started = {"kernel_init": INITIALIZERS[self.kernel_init]} if self.kernel_init else {}
        conv = partial(Conv, kernel=self.kernel, dtype=self.dtype, **started)
        dense = partial(Dense, dtype=self.dtype, **started)
        c1 = conv(self.features[0], padding=self.padding, name="c1")
        x = pool(activated(c1, x, self.act))
        x = pool(activated(conv(self.features[1], padding="valid", name="c3"), x, self.act))
        x = x.reshape(x.shape[0], -1)
        for i, units in enumerate(self.units):
            x = act(dense(units, name=f"f{i + 5}")(x))
        x = dense(self.classes, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


MODELS = Table("network", lenet5=LeNet)
