"""The words of Keras 1 in those of Keras 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnjax.errors import InputError

CLASSES = {
    "AtrousConvolution2D": "Conv2D", "Convolution1D": "Conv1D", "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D", "SeparableConvolution2D": "SeparableConv2D",
}  # fmt: skip
FIELDS = {
    "atrous_rate": "dilation_rate", "bias": "use_bias", "border_mode": "padding",
    "nb_filter": "filters", "output_dim": "units", "p": "rate", "pool_length": "pool_size",
    "stride": "strides", "subsample": "strides", "subsample_length": "strides",
    "filter_length": "kernel_size", "sigma": "stddev", "length": "size",
}  # fmt: skip
MERGES = {
    "ave": "Average", "concat": "Concatenate", "max": "Maximum", "mul": "Multiply", "sum": "Add",
}  # fmt: skip
ORDERS = {"tf": "channels_last", "th": "channels_first"}
KERNEL = ("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")


def modern(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a layer's record with the classes and fields of Keras 2."""
    kind, old = record["class_name"], record["config"]
    if not isinstance(old, Mapping) or "layers" in old:
        return record
    config = {FIELDS.get(field, field): value for field, value in old.items()}
    order = config.pop("dim_ordering", None)
    if order in ORDERS and kind not in ("Flatten", "Dense"):
        config["data_format"] = ORDERS[order]
    for fields in KERNEL:
        if all(field in config for field in fields):
            config["kernel_size"] = [config.pop(field) for field in fields]
    if order == "th" and ("kernel_size" in config):
        raise InputError(f"layer {config.get('name')}: Keras 1 does not say whether kernels that "
                         "were stored channels first (th) lie flipped")  # fmt: skip
    if kind == "Merge":
        mode = config.pop("mode", "")
        if mode not in MERGES:
            raise InputError(f"layer {config.get('name')}: merging by {mode!r} is not known")
        kind = MERGES[mode]
        axis = config.pop("concat_axis", -1)
        config = {"name": config.get("name")}
        if kind == "Concatenate":
            config["axis"] = axis
    widths = config.get("padding") or ()
    if kind == "ZeroPadding2D" and len(widths) == 4:
        top, bottom, left, right = widths
        config["padding"] = [[top, bottom], [left, right]]
    return dict(record) | {"class_name": CLASSES.get(kind, kind), "config": config}
