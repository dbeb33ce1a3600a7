"""How weights start, by name; biases start at zero.

Glorot & Bengio 2010 (AISTATS) for tanh and sigmoid, He et al. 2015 (arXiv 1502.01852) for ReLU,
LeCun et al. 1998 ("Efficient BackProp"), Saxe et al. 2014 (arXiv 1312.6120) for orthogonal weights.
"""

from __future__ import annotations

from flax import linen as nn

from cnnjax.registry import Table

INITIALIZERS: Table[nn.initializers.Initializer] = Table(
    "initialisation",
    glorot_normal=nn.initializers.glorot_normal(),
    glorot_uniform=nn.initializers.glorot_uniform(),
    he_normal=nn.initializers.he_normal(),
    he_uniform=nn.initializers.he_uniform(),
    lecun_normal=nn.initializers.lecun_normal(),
    lecun_uniform=nn.initializers.lecun_uniform(),
    orthogonal=nn.initializers.orthogonal(),
)
