"""What the networks are built from; every layer takes (batch, *spatial, channels)."""

from cnnjax.layers.activation import ACTIVATIONS
from cnnjax.layers.conv import (
    Conv,
    ConvBN,
    DepthwiseConv,
    SeparableConv,
    he_normal,
)
from cnnjax.layers.dense import Dense
from cnnjax.layers.dropout import Dropout
from cnnjax.layers.fused import activated
from cnnjax.layers.initial import INITIALIZERS
from cnnjax.layers.norm import NORMS, BatchNorm, GroupNorm, local_response_norm
from cnnjax.layers.pool import (
    GLOBAL_POOLS,
    POOLS,
    average_pool,
    geometric_pool,
    global_average_pool,
    global_max_pool,
    harmonic_pool,
    max_pool,
)
from cnnjax.layers.residual import joined

__all__ = [
    "ACTIVATIONS",
    "GLOBAL_POOLS",
    "INITIALIZERS",
    "NORMS",
    "POOLS",
    "BatchNorm",
    "Conv",
    "ConvBN",
    "Dense",
    "DepthwiseConv",
    "Dropout",
    "GroupNorm",
    "SeparableConv",
    "activated",
    "average_pool",
    "geometric_pool",
    "global_average_pool",
    "global_max_pool",
    "harmonic_pool",
    "he_normal",
    "joined",
    "local_response_norm",
    "max_pool",
]
