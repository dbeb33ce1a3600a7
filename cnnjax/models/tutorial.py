"""The small networks of the articles: blocks of convolutions and a pooling, then dense layers.

`first_convnet` is the "first ConvNet" of Chollet's "Deep Learning with Python" (listing 5.1 and
5.2), `mnist_cnn` the Keras example of that name, `one_block_cnn` its one-block reduction.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.errors import InputError
from cnnjax.layers import (
    ACTIVATIONS,
    INITIALIZERS,
    NORMS,
    POOLS,
    Conv,
    ConvBN,
    Dense,
    Dropout,
    activated,
)
from cnnjax.registry import Table


class ConvNet(nn.Module):
    """Blocks of convolutions, each block pooled; flatten; dense layers; the classifier.

    Attributes:
      blocks: one tuple of features per block, one convolution per entry.
      pool_last: whether the last block is pooled, too.
      units: of the dense layers before the classifier.
      kernels, paddings: one per block; empty: `kernel` and `padding` of all.
      norm: of every convolution, before its activation, in layers.NORMS.
      conv_bias: also where a normalisation follows.
      kernel_init: of all weights, in layers.INITIALIZERS; the default is Keras', so that an example
        written for it starts as it does there.
      dropout_rate: after the last block; `dense_dropout_rate` after each dense layer. In [0, 1].
    """

    classes: int = 10
    blocks: tuple[tuple[int, ...], ...] = ((32,), (64,), (64,))
    units: tuple[int, ...] = (64,)
    kernel: int = 3
    stride: int = 1
    padding: str = "valid"
    act: str = "relu"
    pool: str = "max"
    pool_size: int = 2
    pool_last: bool = False
    kernels: tuple[int, ...] = ()
    paddings: tuple[str, ...] = ()
    norm: str = "none"
    conv_bias: bool = True
    epsilon: float = 1e-5
    momentum: float = 0.9
    kernel_init: str = "glorot_uniform"
    dropout_rate: float = 0.0
    dense_dropout_rate: float = 0.0
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        act, pool = ACTIVATIONS[self.act], POOLS[self.pool]
        init = INITIALIZERS[self.kernel_init]
        dense = partial(Dense, dtype=self.dtype, kernel_init=init)
        dropout = partial(Dropout, train=train, axis_name=self.axis_name)
        for i, block in enumerate(self.blocks, 1):
            kernel = self.of_block("kernels", self.kernel)[i - 1]
            padding = self.of_block("paddings", self.padding)[i - 1]
            for j, features in enumerate(block, 1):
                unit = partial(
                    Conv if self.norm == "none" else self.normalized(train),
                    features,
                    kernel,
                    self.stride,
                    padding,
                    dtype=self.dtype,
                    kernel_init=init,
                    name=f"block{i}_conv{j}",
                )
                x = activated(unit(), x, self.act) if self.norm == "none" else unit()(x)
            if self.pool_last or i < len(self.blocks):
                x = pool(x, self.pool_size)
        x = dropout(self.dropout_rate)(x)
        x = x.reshape(x.shape[0], -1)
        for i, units in enumerate(self.units, 1):
            x = act(dense(units, name=f"dense{i}")(x))
            x = dropout(self.dense_dropout_rate)(x)
        x = dense(self.classes, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))

    def normalized(self, train: bool) -> Any:
        fields = {"epsilon": self.epsilon, "momentum": self.momentum}
        norm = NORMS[self.norm](train, self.axis_name, **fields)
        return partial(ConvBN, act=self.act, use_bias=self.conv_bias, norm=norm)

    def of_block(self, field: str, common: Any) -> tuple[Any, ...]:
        """Returns the values of a field that has one per block, or the one for all."""
        values = getattr(self, field) or (common,) * len(self.blocks)
        if len(values) != len(self.blocks):
            raise InputError(f"{field} must be one per block: {len(self.blocks)}; given {values}")
        return values


one_pool = partial(ConvNet, units=(128,), pool_last=True, dropout_rate=0.25, dense_dropout_rate=0.5)
MODELS = Table(
    "network",
    first_convnet=ConvNet,
    mnist_cnn=partial(one_pool, blocks=((32, 64),)),
    one_block_cnn=partial(one_pool, blocks=((32,),)),
)
