"""NASNet-A (Zoph et al. 2017, arXiv 1707.07012, figure 4).

A search produced the cells, so they are data here: a row is two operations, whose results are
added. `h` is the output of the cell before, `p` of the one before that, and a number the result of
that row, counted from 0. The last line of a cell says what it concatenates.
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
    GLOBAL_POOLS,
    NORMS,
    Conv,
    ConvBN,
    Dense,
    Dropout,
    SeparableConv,
    average_pool,
    max_pool,
)
from cnnjax.layers.window import pad_widths
from cnnjax.registry import Table

NORMAL = (
    (
        ("sep5", "h", "sep3", "p"),
        ("sep5", "p", "sep3", "p"),
        ("avg3", "h", "same", "p"),
        ("avg3", "p", "avg3", "p"),
        ("sep3", "h", "same", "h"),
    ),
    ("p", 0, 1, 2, 3, 4),
)
REDUCTION = (
    (
        ("sep5", "h", "sep7", "p"),
        ("max3", "h", "sep7", "p"),
        ("avg3", "h", "sep5", "p"),
        ("avg3", 0, "same", 1),
        ("sep3", 0, "max3", "h"),
    ),
    (1, 2, 3, 4),
)


class Separable(nn.Module):
    """Activation, separable convolution, normalisation; twice, the first one with the stride."""

    features: int
    kernel: int
    stride: int
    act: Any
    norm: Any
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i, stride in ((1, self.stride), (2, 1)):
            conv = SeparableConv(
                self.features,
                self.kernel,
                stride,
                use_bias=False,
                dtype=self.dtype,
                name=f"conv{i}",
            )
            x = conv(self.act(x))
            x = self.norm(name=f"norm{i}")(x) if self.norm else x
        return x


class Halved(nn.Module):
    """Half the resolution by two 1x1 convolutions: of the even pixels, and of the odd ones."""

    features: int
    act: Any
    norm: Any
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = partial(Conv, self.features // 2, 1, use_bias=False, dtype=self.dtype)
        x = self.act(x)
        odd = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1::2, 1::2]
        x = jnp.concatenate((conv(name="conv1")(x[:, ::2, ::2]), conv(name="conv2")(odd)), axis=-1)
        return self.norm(name="norm")(x) if self.norm else x


class Cell(nn.Module):
    """Runs the rows of `cell` on `h` and `p`; what reads these two has the `stride`."""

    cell: Any
    features: int
    stride: int
    max_sees_zeros: bool
    average_sees_zeros: bool
    act: Any
    norm: Any
    dtype: Any

    @nn.compact
    def __call__(self, h: jax.Array, p: jax.Array | None) -> jax.Array:
        unit = partial(ConvBN, self.features, 1, act="linear", norm=self.norm, dtype=self.dtype)
        if p is None:
            p = h
        elif p.shape[1:3] != h.shape[1:3]:
            p = Halved(self.features, self.act, self.norm, self.dtype, name="previous")(p)
        elif p.shape[-1] != self.features:
            p = unit(name="previous")(self.act(p))
        states: dict[Any, jax.Array] = {"h": unit(name="current")(self.act(h)), "p": p}
        rows, joined = self.cell
        for i, (left, a, right, b) in enumerate(rows):
            strides = [self.stride if s in ("h", "p") else 1 for s in (a, b)]
            states[i] = self.result(left, states[a], strides[0], f"row{i + 1}_left")
            states[i] += self.result(right, states[b], strides[1], f"row{i + 1}_right")
        return jnp.concatenate([states[s] for s in joined], axis=-1)

    def result(self, operation: str, x: jax.Array, stride: int, name: str) -> jax.Array:
        """Returns what `operation`, a kind and its window ("sep5"), makes of x."""
        if operation == "same":
            return x
        kind, window = operation[:3], int(operation[3:])
        if kind == "avg":
            zeros = self.average_sees_zeros and stride > 1
            return average_pool(x, window, stride, "same", count_padding=zeros)
        if kind == "max":
            if not self.max_sees_zeros:
                return max_pool(x, window, stride, "same")
            widths = pad_widths("same", x.shape[1:3], (window, window), (stride, stride))
            return max_pool(jnp.pad(x, ((0, 0), *widths, (0, 0))), window, stride)
        fields = self.features, window, stride, self.act, self.norm, self.dtype
        return Separable(*fields, name=name)(x)


class NASNet(nn.Module):
    """3x3, two reduction cells, three stages of normal cells with a reduction cell between, head.

    Attributes:
      blocks: normal cells per stage, the paper's N.
      features: channels before the head, a multiple of 96 ("6 @ 4032" in the paper's tables).
      stem: features of the 3x3.
      skip_reduction: whether the cell after a reduction reads the reduction's `p` as its own,
        instead of the reduction's input.
      dropout_rate: before the head, in [0, 1].
      max_sees_zeros, average_sees_zeros: whether the padding of strided pools is pixels of value
        zero (both in Keras, the averages' in timm), or nothing (both in TensorFlow's original).
    """

    classes: int = 1000
    blocks: int = 6
    features: int = 4032
    stem: int = 96
    skip_reduction: bool = True
    dropout_rate: float = 0.0
    max_sees_zeros: bool = True
    average_sees_zeros: bool = True
    epsilon: float = 1e-3
    momentum: float = 0.9997
    act: str = "relu"
    norm: str = "batch"
    global_pool: str = "average"
    dtype: Any = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        if self.features < 96 or self.features % 96:
            raise InputError(f"features must be a multiple of 96, not {self.features}")
        act = ACTIVATIONS[self.act]
        norm = NORMS[self.norm](train, self.axis_name, epsilon=self.epsilon, momentum=self.momentum)
        cell = partial(
            Cell,
            max_sees_zeros=self.max_sees_zeros,
            average_sees_zeros=self.average_sees_zeros,
            act=act,
            norm=norm,
            dtype=self.dtype,
        )
        x = ConvBN(
            self.stem, 3, 2, "valid", act="linear", norm=norm, dtype=self.dtype, name="stem"
        )(x)
        width, p = self.features // 24, None
        for i, features in ((1, width // 4), (2, width // 2)):
            x, p = cell(REDUCTION, features, 2, name=f"stem_cell{i}")(x, p), x
        for i in range(3):
            if i:
                y = cell(REDUCTION, width * 2**i, 2, name=f"reduction{i}")(x, p)
                x, p = y, p if self.skip_reduction else x
            for j in range(self.blocks):
                x, p = cell(NORMAL, width * 2**i, 1, name=f"stage{i + 1}_block{j + 1}")(x, p), x
        x = GLOBAL_POOLS[self.global_pool](act(x))
        x = Dropout(self.dropout_rate, train=train, axis_name=self.axis_name)(x)
        x = Dense(self.classes, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


MODELS = Table(
    "network",
    nasnet_mobile=partial(NASNet, blocks=4, features=1056, stem=32, skip_reduction=False),
    nasnet_large=NASNet,
)
DIALECTS = {"keras": {}, "timm": {"max_sees_zeros": False, "momentum": 0.9}}
