"""The config of one Keras layer, read field by field; what nobody reads is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from cnnjax.errors import InputError, nearest
from cnnjax.layers import ACTIVATIONS
from cnnjax.transfer.activations import FUNCTIONS, Activation

# Fields that do not change what a trained layer computes.
HARMLESS = {
    "activity_regularizer", "autocast", "batch_input_shape", "batch_shape", "build_input_shape",
    "dtype", "fused", "implementation", "input_dtype", "input_shape", "l1", "l2", "name", "ragged",
    "seed", "sparse", "synchronized", "trainable", "lora_rank", "lora_alpha", "input_dim",
    "optional", "renorm_momentum", "quantization_config", "weights", "init", "gamma_init",
    "beta_init", "init_std", "input_length",
    "W_learning_rate_multiplier", "b_learning_rate_multiplier",
}  # fmt: skip
HARMLESS_ENDS = ("_initializer", "_regularizer", "_constraint", "_quantizer")
SILENT_IF_NONE = {
    "adjustment", "filters", "noise_shape", "output_padding", "renorm_clipping",
    "virtual_batch_size",
}  # fmt: skip
# Other names of what layers.ACTIVATIONS and FUNCTIONS have.
SAME = {"swish": "silu", "hard_silu": "hard_swish", "exp": "exponential"}
PROBABILITIES = ("softmax", "sigmoid")
PRECISIONS = {"float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16"}


@dataclasses.dataclass
class Options:
    """A layer's config.

    Attributes:
      kind: its class.
      values: the config; `read` are the fields that were asked for.
      version: of the Keras that wrote it, (major, minor).
    """

    kind: str
    values: Mapping[str, Any]
    version: tuple[int, int]
    read: set[str] = dataclasses.field(default_factory=set)

    @property
    def name(self) -> str:
        return str(self.values.get("name", self.kind))

    def refuse(self, what: str) -> InputError:
        return InputError(f"layer {self.name} ({self.kind}): {what}")

    def get(self, field: str, default: Any = None, *older: str) -> Any:
        """Returns a field by its name, or one of its older names."""
        for name in (field, *older):
            if name in self.values:
                self.read.add(name)
                return self.values[name]
        return default

    def integer(self, field: str, default: int | None = None, lowest: int = 1) -> int:
        value = self.get(field, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise self.refuse(f"{field} is {value!r}, not an integer from {lowest}")
        return value

    def number(self, field: str, default: Any, *older: str) -> float:
        value = self.get(field, default, *older)
        value = float32_of(value) if isinstance(value, Mapping) else value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(f"{field} is {value!r}, not a number")
        return float(value)

    def boolean(self, field: str, default: bool, *older: str) -> bool:
        value = self.get(field, default, *older)
        if not isinstance(value, bool):
            raise self.refuse(f"{field} is {value!r}, neither true nor false")
        return value

    def word(self, field: str, default: str, known: tuple[str, ...]) -> str:
        value = self.get(field, default)
        if value not in known:
            raise self.refuse(f"{field} is {value!r}{nearest(str(value), known)}")
        return value

    def sizes(self, field: str, dimensions: int, default: Any = None) -> tuple[int, ...]:
        """Returns one positive integer per dimension."""
        value = self.get(field, default)
        values = tuple(value) if isinstance(value, list | tuple) else (value,) * dimensions
        if len(values) != dimensions or not all(isinstance(n, int) and n > 0 for n in values):
            raise self.refuse(f"{field} is {value!r}, not {dimensions} positive integers")
        return values

    def sizes_from_zero(self, field: str, dimensions: int) -> tuple[int, ...]:
        value = self.get(field)
        values = tuple(value) if isinstance(value, list | tuple) else (value,) * dimensions
        if len(values) != dimensions or not all(isinstance(n, int) and n >= 0 for n in values):
            raise self.refuse(f"{field} is {value!r}, not {dimensions} integers from zero")
        return values

    def widths(self, field: str, dimensions: int) -> tuple[tuple[int, int], ...]:
        """Returns (before, after) per dimension, from one width, one each, or pairs."""
        value = self.get(field, 1)
        values = value if isinstance(value, list | tuple) else (value,) * dimensions
        if dimensions == 1 and len(values) == 2:
            values = (values,)
        pairs = tuple(tuple(v) if isinstance(v, list | tuple) else (v, v) for v in values)
        whole = all(isinstance(n, int) and n >= 0 for pair in pairs for n in pair)
        if len(pairs) != dimensions or any(len(pair) != 2 for pair in pairs) or not whole:
            raise self.refuse(f"{field} is {value!r}, not {dimensions} pairs of widths")
        return pairs

    def numbers(self, field: str, default: Any = None) -> Any:
        """Returns a number, or nested tuples of them."""
        value = self.get(field, default)
        if isinstance(value, Mapping):
            value = float32_of(value)
        found = nested(value)
        if found is None:
            raise self.refuse(f"{field} is {value!r}, not numbers")
        return found

    def axes(self, field: str, default: Any = -1) -> tuple[int, ...]:
        value = self.get(field, default)
        values = tuple(value) if isinstance(value, list | tuple) else (value,)
        if not values or not all(isinstance(n, int) for n in values):
            raise self.refuse(f"{field} is {value!r}, not an axis or several")
        return values

    def first(self) -> bool:
        """Whether channels come first."""
        known = ("channels_last", "channels_first")
        return self.word("data_format", "channels_last", known) == known[1]

    def activation(self, field: str = "activation") -> Activation:
        return activation_of(self, self.get(field))

    def done(self) -> None:
        """Refuses fields that nobody has asked for, and precisions that are none of ours."""
        for field, value in self.values.items():
            harmless = field in HARMLESS or field.endswith(HARMLESS_ENDS)
            if field in self.read or harmless or (field in SILENT_IF_NONE and value is None):
                continue
            raise self.refuse(f"its field {field} = {value!r} is not known")
        policy = self.values.get("dtype") or "float32"
        if isinstance(policy, Mapping):
            policy = policy.get("config", {})
            policy = policy.get("name") if isinstance(policy, Mapping) else policy
        if policy not in PRECISIONS:
            raise self.refuse(f"its precision {policy!r} is not known; quantised layers are not")


def float32_of(value: Mapping[str, Any]) -> Any:
    """Returns the number of {"class_name": "__numpy__", ...} and the like."""
    config = value.get("config", value)
    return config.get("value") if isinstance(config, Mapping) else None


def nested(value: Any) -> Any:
    """Returns lists as tuples of numbers; None where there is anything else."""
    if isinstance(value, list | tuple):
        parts = tuple(nested(part) for part in value)
        return None if None in parts else parts
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number else None


def activation_of(options: Options, value: Any) -> Activation:
    """Returns the activation of a name, of a function or of a layer that stands for one."""
    if value is None:
        return Activation()
    if isinstance(value, Mapping):
        return activation_of_record(options, value)
    if not isinstance(value, str):
        raise options.refuse(f"the activation {value!r} is not known")
    name = SAME.get(value, value)
    if name == "hard_sigmoid" and options.version < (3, 0):
        return Activation("hard_sigmoid_of_theano")
    if name == "leaky_relu":
        return Activation("leaky_relu", (("negative_slope", 0.2),))
    if name not in ACTIVATIONS and name not in FUNCTIONS:
        known = ACTIVATIONS.keys() | FUNCTIONS.keys() | SAME.keys()
        raise options.refuse(f"the activation {value!r} is not known{nearest(value, known)}")
    return Activation(name)


def activation_of_record(options: Options, value: Mapping[str, Any]) -> Activation:
    kind, config = value.get("class_name"), value.get("config")
    if kind == "function":
        if not str(value.get("module", "keras")).startswith(("keras", "builtins")):
            raise options.refuse(f"the activation {config!r} is code of its author")
        return activation_of(options, config)
    if kind in LAYERS and isinstance(config, Mapping):
        inner = Options(str(kind), config, options.version)
        found = LAYERS[str(kind)](inner)
        inner.done()
        return found
    raise options.refuse(f"the activation {kind!r} is not known{nearest(str(kind), LAYERS)}")


def rectifier(options: Options) -> Activation:
    slope = options.number("negative_slope", options.get("alpha", 0.0) or 0.0)
    threshold, largest = options.number("threshold", 0.0), options.get("max_value")
    if not slope and not threshold and largest is None:
        return Activation("relu")
    if largest is not None:
        largest = options.number("max_value", 0.0)
    values = (("slope", slope), ("threshold", threshold), ("largest", largest))
    return Activation("rectified", values)


def leaky(options: Options) -> Activation:
    slope = options.number("negative_slope", 0.3, "alpha")
    return Activation("leaky_relu", (("negative_slope", slope),))


def exponential(options: Options) -> Activation:
    return Activation("elu", (("alpha", options.number("alpha", 1.0)),))


def thresholded(options: Options) -> Activation:
    """Keras' ThresholdedReLU is zero at the threshold itself."""
    return Activation("thresholded", (("theta", options.number("theta", 1.0)),))


def softmax(options: Options) -> Activation:
    axes = options.axes("axis")
    return Activation("softmax", (("axis", axes[0] if len(axes) == 1 else axes),))


def named(options: Options) -> Activation:
    return options.activation()


# Layers that are activations.
LAYERS = {
    "Activation": named,
    "ELU": exponential,
    "LeakyReLU": leaky,
    "ReLU": rectifier,
    "Softmax": softmax,
    "ThresholdedReLU": thresholded,
}
