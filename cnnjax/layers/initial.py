"""How weights start, by name; biases start at zero.

Glorot & Bengio 2010 (AISTATS) for tanh and sigmoid, He et al. 2015 (arXiv 1502.01852) for ReLU,
LeCun et al. 1998 ("Efficient BackProp"), Saxe et al. 2014 (arXiv 1312.6120) for orthogonal weights.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cnnjax import draws
from cnnjax.registry import Table

Distribution = Literal["truncated_normal", "uniform"]
# Of the normal distribution without what is beyond two standard deviations.
TRUNCATED_DEVIATION = np.float32(0.87962566103423978)


def scaled(
    key: jax.Array,
    shape: tuple[int, ...],
    dtype: Any = jnp.float32,
    *,
    scale: float,
    fan: Literal["fan_in", "fan_avg"],
    distribution: Distribution,
    apart: tuple[int, ...] = (),
) -> jax.Array:
    """Returns Flax' `variance_scaling`: numbers of the variance scale / fan, noted as a draw.

    Along the axes `apart` lie weights of which an output sees one alone.
    """
    start = nn.initializers.variance_scaling(scale, fan, distribution, batch_axis=apart)
    values = start(key, shape, dtype)
    seen = [1 if axis in apart else size for axis, size in enumerate(shape)]
    inputs, outputs = math.prod(seen[:-1]), math.prod(seen[:-2]) * seen[-1]
    variance = np.float32(scale / (inputs if fan == "fan_in" else (inputs + outputs) / 2))
    if distribution == "uniform":
        factor = np.sqrt(np.float32(3) * variance)
    else:
        factor = np.sqrt(variance) / TRUNCATED_DEVIATION
    return draws.note(draws.Draw(values, key, distribution, float(factor)))


INITIALIZERS: Table[nn.initializers.Initializer] = Table(
    "initialisation",
    glorot_normal=partial(scaled, scale=1, fan="fan_avg", distribution="truncated_normal"),
    glorot_uniform=partial(scaled, scale=1, fan="fan_avg", distribution="uniform"),
    he_normal=partial(scaled, scale=2, fan="fan_in", distribution="truncated_normal"),
    he_uniform=partial(scaled, scale=2, fan="fan_in", distribution="uniform"),
    lecun_normal=partial(scaled, scale=1, fan="fan_in", distribution="truncated_normal"),
    lecun_uniform=partial(scaled, scale=1, fan="fan_in", distribution="uniform"),
    orthogonal=nn.initializers.orthogonal(),
)
