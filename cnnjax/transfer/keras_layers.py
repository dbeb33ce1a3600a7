"""Keras' layers by class: the `graph.Layer` that a config stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnjax.transfer import graph_layers as compute
from cnnjax.transfer.graph import Layer, Leaf
from cnnjax.transfer.keras_options import LAYERS as ACTIVATION_LAYERS
from cnnjax.transfer.keras_options import PROBABILITIES, Options

BORDERS = ("valid", "same")


def layer(function: Callable[..., Any], leaves: Any = (), **fields: Any) -> Layer:
    leaves = tuple(Leaf(f"params/{leaf}") if isinstance(leaf, str) else leaf for leaf in leaves)
    last = fields.get("act")
    likely = last is not None and last.name in PROBABILITIES
    return Layer(function, tuple(fields.items()), leaves, likely)


def window(c: Options, n: int) -> dict[str, Any]:
    """Returns the fields that convolutions share."""
    kernel, dilation = c.sizes("kernel_size", n), c.sizes("dilation_rate", n, 1)
    known = (*BORDERS, "causal") if n == 1 else BORDERS
    padding: Any = c.word("padding", "valid", known)
    if padding == "causal":
        padding = (((kernel[0] - 1) * dilation[0], 0),)
    stride = c.sizes("strides", n, 1)
    return {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding}


def conv(c: Options, n: int) -> Layer:
    fields = {"first": c.first(), "act": c.activation(), "features": c.integer("filters")}
    fields |= window(c, n) | {"groups": c.integer("groups", 1)}
    bias = c.boolean("use_bias", True)
    return layer(compute.convolution, ("kernel", *["bias"] * bias), use_bias=bias, **fields)


def swapped(kernel: np.ndarray) -> np.ndarray:
    """Returns a transposed convolution's kernel, (..., features, channels), for a correlation."""
    return np.flip(kernel, tuple(range(kernel.ndim - 2))).swapaxes(-1, -2)


def transposed(c: Options, n: int) -> Layer:
    fields = {"first": c.first(), "act": c.activation(), "features": c.integer("filters")}
    fields |= window(c, n)
    extra = c.get("output_padding")
    extra = (None,) * n if extra is None else c.sizes_from_zero("output_padding", n)
    fields["padding"] = tuple(
        transposed_widths((k - 1) * d + 1, s, fields["padding"], p)
        for k, s, d, p in zip(
            fields["kernel"], fields["stride"], fields["dilation"], extra, strict=True
        )
    )
    c.integer("groups", 1)
    bias = c.boolean("use_bias", True)
    leaves = (Leaf("params/kernel", swapped), *["bias"] * bias)
    return layer(compute.transposed, leaves, use_bias=bias, **fields)


def transposed_widths(k: int, s: int, padding: str, extra: int | None) -> tuple[int, int]:
    """Returns (before, after) around the values apart, from Keras' rules for the result's size.

    valid: n s + max(k - s, 0) pixels, same: n s; an output_padding says (n - 1) s + k + extra, and
    for same k - 2 (k // 2) in place of k.
    """
    if padding == "valid":
        return k - 1, k - 1 + (max(k, s) - k if extra is None else extra)
    total = s + k - 2 if extra is None else k + k % 2 - 2 + extra
    before = min(total - total // 2, k - 1)
    return before, total - before


def multiplied(kernel: np.ndarray) -> np.ndarray:
    """Returns a depthwise kernel (*kernel, channels, multiplier) as (*kernel, 1, both)."""
    return kernel.reshape(*kernel.shape[:-2], 1, -1)


def depthwise(c: Options, n: int) -> Layer:
    fields = {"first": c.first(), "act": c.activation(), **window(c, n)}
    fields["multiplier"] = c.integer("depth_multiplier", 1)
    if c.get("groups", 1) != 1:
        raise c.refuse("groups of a depthwise convolution are not known")
    bias = c.boolean("use_bias", True)
    leaves = (Leaf("params/kernel", multiplied), *["bias"] * bias)
    return layer(compute.depthwise, leaves, use_bias=bias, **fields)


def separable(c: Options, n: int) -> Layer:
    fields = {"first": c.first(), "act": c.activation(), "features": c.integer("filters")}
    fields |= window(c, n) | {"multiplier": c.integer("depth_multiplier", 1)}
    c.integer("groups", 1)
    bias = c.boolean("use_bias", True)
    leaves = (Leaf("params/depthwise/kernel", multiplied), "pointwise/kernel")
    leaves += ("pointwise/bias",) * bias
    return layer(compute.separable, leaves, use_bias=bias, **fields)


def dense(c: Options) -> Layer:
    bias = c.boolean("use_bias", True)
    leaves = ("kernel", *["bias"] * bias)
    act, units = c.activation(), c.integer("units")
    return layer(compute.dense, leaves, act=act, features=units, use_bias=bias)


def pool(c: Options, n: int, kind: str) -> Layer:
    size = c.sizes("pool_size", n, 2)
    stride = size if c.get("strides") is None else c.sizes("strides", n)
    first, padding = c.first(), c.word("padding", "valid", BORDERS)
    fields = {"first": first, "padding": padding}
    return layer(compute.pooling, kind=kind, window=size, stride=stride, **fields)


def global_pool(c: Options, kind: str) -> Layer:
    keep = c.boolean("keepdims", False)
    return layer(compute.global_pooling, first=c.first(), kind=kind, keep=keep)


def batch_norm(c: Options) -> Layer:
    axis, *more = c.axes("axis")
    if more:
        raise c.refuse(f"it normalises over the axes {axis}, {more} at once")
    if c.get("renorm", False) or c.get("mode", 0) != 0:
        raise c.refuse("it renormalises, or has a mode of Keras 1 other than 0")
    scale, bias = c.boolean("scale", True), c.boolean("center", True)
    leaves = [*["scale"] * scale, *["bias"] * bias]
    leaves += [Leaf("batch_stats/mean"), Leaf("batch_stats/var")]
    momentum, epsilon = c.number("momentum", 0.99), c.number("epsilon", 1e-3)
    fields = {"axis": axis, "momentum": momentum, "epsilon": epsilon}
    return layer(compute.batch_norm, leaves, use_scale=scale, use_bias=bias, **fields)


def layer_norm(c: Options) -> Layer:
    scale, bias = c.boolean("scale", True), c.boolean("center", True)
    if c.get("rms_scaling", False):
        raise c.refuse("rms_scaling is not known")
    fields = {"axes": c.axes("axis"), "epsilon": c.number("epsilon", 1e-3)}
    leaves = [*["scale"] * scale, *["bias"] * bias]
    return layer(compute.layer_norm, leaves, use_scale=scale, use_bias=bias, **fields)


def group_norm(c: Options) -> Layer:
    scale, bias = c.boolean("scale", True), c.boolean("center", True)
    fields: dict[str, Any] = {"axis": c.axes("axis")[0], "groups": c.integer("groups", 32, -1)}
    fields["epsilon"] = c.number("epsilon", 1e-3)
    leaves = [*["scale"] * scale, *["bias"] * bias]
    return layer(compute.group_norm, leaves, use_scale=scale, use_bias=bias, **fields)


def unit_norm(c: Options) -> Layer:
    return layer(compute.unit_norm, axes=c.axes("axis"))


def standardisation(c: Options) -> Layer:
    mean, variance = c.get("mean"), c.get("variance")
    axes = () if c.get("axis", -1) in (None, []) else c.axes("axis")
    invert = c.boolean("invert", False)
    fields = {"axes": axes, "invert": invert}
    if mean is not None and variance is not None:
        fixed = (c.numbers("mean"), c.numbers("variance"))
        return layer(compute.standardisation, fixed=fixed, **fields)
    leaves = (
        Leaf("batch_stats/mean"),
        Leaf("batch_stats/var"),
        Leaf(""),
    )  # a count that only adapts
    return layer(compute.standardisation, leaves, fixed=None, **fields)


def rescaling(c: Options) -> Layer:
    return layer(compute.rescaling, scale=c.numbers("scale", 1.0), offset=c.numbers("offset", 0.0))


def parametric_relu(c: Options) -> Layer:
    shared = () if c.get("shared_axes") is None else c.axes("shared_axes")
    return layer(compute.parametric_relu, ("alpha",), shared=shared)


def activation(c: Options) -> Layer:
    return layer(compute.activation, act=ACTIVATION_LAYERS[c.kind](c))


def flatten(c: Options) -> Layer:
    return layer(compute.flatten, first=c.first())


def reshape(c: Options) -> Layer:
    return layer(compute.reshape, shape=c.axes("target_shape"))


def permute(c: Options) -> Layer:
    return layer(compute.permute, order=c.axes("dims"))


def repeat(c: Options) -> Layer:
    return layer(compute.repeat, times=c.integer("n"))


def border(c: Options, n: int, field: str, function: Callable[..., Any]) -> Layer:
    return layer(function, first=c.first(), widths=c.widths(field, n))


def upsampling(c: Options, n: int) -> Layer:
    method = c.word("interpolation", "nearest", ("nearest", "bilinear"))
    if method == "bilinear" and c.version < (2, 4):
        raise c.refuse("bilinear interpolation before Keras 2.4 had another grid")
    return layer(compute.upsampling, first=c.first(), size=c.sizes("size", n, 2), method=method)


def resizing(c: Options) -> Layer:
    c.word("interpolation", "bilinear", ("bilinear",))
    plain = ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias")
    if any([c.get(field, False) for field in plain]) or c.get("fill_mode", "") not in (
        "constant",
        "",
    ):
        raise c.refuse(f"none of {', '.join(plain)} is known")
    c.get("fill_value")
    return layer(compute.resizing, first=c.first(), size=(c.integer("height"), c.integer("width")))


def dropout(c: Options) -> Layer:
    return layer(compute.dropout, rate=c.number("rate", 0.5))


def channel_dropout(c: Options) -> Layer:
    return layer(compute.dropout, rate=c.number("rate", 0.5), channels=True, first=c.first())


def noise(c: Options, kind: str, field: str) -> Layer:
    return layer(compute.noise, kind=kind, amount=c.number(field, 0.0))


def identity(c: Options) -> Layer:
    return layer(compute.identity)
