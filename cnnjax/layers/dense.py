"""The dense layer: Flax' own, with weights whose start compiles quickly (`cnnjax.draws`)."""

from __future__ import annotations

from flax import linen as nn

from cnnjax.layers.initial import INITIALIZERS


class Dense(nn.Dense):
    """A product with `features` columns of weights and a bias, of the last dimension.

    Parameters: `kernel` (channels, features), by LeCun's normal distribution, and `bias`.
    """

    kernel_init: nn.initializers.Initializer = INITIALIZERS["lecun_normal"]
