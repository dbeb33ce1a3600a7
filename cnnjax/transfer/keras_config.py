"""From the config that a Keras model is described by to the plan of a graph.

Three generations: a list of layers, `inbound_nodes` of lists (until Keras 2.15), and of records
(Keras 3). Calls are put in an order in which each follows what it needs: neither the order of the
layers nor their names say anything about that.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from cnnjax import fields
from cnnjax.errors import InputError, nearest
from cnnjax.transfer import keras1, keras_calls
from cnnjax.transfer.graph import Call, Layer, Plan, Value
from cnnjax.transfer.keras_options import Options
from cnnjax.transfer.keras_table import AUGMENTATIONS, CODE, LAYERS, OPERATIONS, operation

log = logging.getLogger(__name__)

MODELS = ("Sequential", "Functional", "Model")
DEPTH, CALLS = 16, 20_000
OURS = ("keras", "tensorflow.python.keras", "tensorflow.keras", "tf_keras", "builtins")


@dataclasses.dataclass(frozen=True)
class Context:
    """What holds for a whole file: the Keras that wrote it, and how deep a model lies in others."""

    version: tuple[int, int]
    depth: int = 0


def parsed(text: str, what: str) -> Any:
    """Returns the JSON object of a config."""
    return fields.json_object(text, f"the config of a model in {what}")


def plan(config: Mapping[str, Any], version: str = "") -> Plan:
    """Returns the plan of a model's config; an InputError names what is not known."""
    try:
        return model(config, Context(version_of(config, version)))
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        missing = f"{type(error).__name__}: {error}"
        raise InputError(f"the config of the model is damaged ({missing})") from error


def version_of(config: Mapping[str, Any], version: str) -> tuple[int, int]:
    words = (version or str(config.get("keras_version", ""))).split(".")
    if len(words) > 1 and words[0].isdigit() and words[1].isdigit():
        return int(words[0]), int(words[1])
    return (3, 0) if "module" in config else (2, 3)


def model(record: Mapping[str, Any], context: Context) -> Plan:
    kind, config = record["class_name"], record["config"]
    if context.depth > DEPTH:
        raise InputError(f"models lie in models more than {DEPTH} deep")
    check_author(record, kind, "the model")
    if kind not in MODELS:
        raise InputError(f"a model of the class {kind} is code of its author; known: Sequential, "
                         "Functional")  # fmt: skip
    inner = dataclasses.replace(context, depth=context.depth + 1)
    if isinstance(config, Sequence):
        return sequential(config, {}, inner)
    if "input_layers" in config:
        return functional(config, inner)
    return sequential(config["layers"], config, inner)


def check_author(record: Mapping[str, Any], kind: Any, what: str) -> None:
    """Refuses what its author has registered: a name says nothing of what it computes."""
    module, registered = record.get("module"), record.get("registered_name")
    if module is not None and not str(module).startswith(OURS):
        raise InputError(f"{what} ({kind}) is code of its author, in {module}: it is not run")
    if registered not in (None, kind) and str(registered).rpartition(">")[0] != "Keras":
        raise InputError(f"{what} ({kind}) is code of its author, {registered}: it is not run")


def layer(record: Mapping[str, Any], context: Context) -> Layer | Plan | None:
    """Returns what a layer computes; None for an input."""
    record = keras1.modern(record) if context.version < (2, 0) else record
    kind, config = record["class_name"], record["config"]
    if kind == "InputLayer":
        return None
    name = config.get("name", kind) if isinstance(config, Mapping) else kind
    if kind in CODE:
        raise InputError(f"layer {name}: a {kind} {CODE[kind]}: it is not run")
    check_author(record, kind, f"layer {name}")
    if kind in MODELS:
        return model(record, context)
    operates = str(record.get("module", "")).startswith(("keras.src.ops", "keras.ops"))
    # In an .h5 they have no module; those that are called as layers are compute the same.
    if operates or ("module" not in record and kind in OPERATIONS and kind not in LAYERS):
        function = OPERATIONS[kind]
        return Layer(operation, (("function", function),))
    if kind in AUGMENTATIONS:
        log.warning("layer %s (%s) is left out: evaluation does without it", name, kind)
        return LAYERS["Identity"](Options(kind, {}, context.version))
    if kind not in LAYERS:
        raise InputError(f"layer {name}: {kind} is not known{nearest(kind, LAYERS)}")
    options = Options(kind, config, context.version)
    found = LAYERS[kind](options)
    options.done()
    return found


def name_of(record: Mapping[str, Any]) -> str:
    config = record["config"]
    inner = config.get("name") if isinstance(config, Mapping) else None
    return str(record.get("name") or inner or record["class_name"])


def sequential(records: Any, config: Mapping[str, Any], context: Context) -> Plan:
    names = Names()
    calls, shapes = [Call("input", None)], [shape_of(config, "build_input_shape")]
    for record in records:
        record = keras1.modern(record) if context.version < (2, 0) else record
        found = layer(record, context)
        if not shapes[0] and isinstance(record["config"], Mapping):
            for field in ("batch_shape", "batch_input_shape"):
                shapes[0] = shapes[0] or shape_of(record["config"], field)
        if isinstance(found, Plan) and not shapes[0] and found.shapes:
            shapes[0] = found.shapes[0]
        if found is None:
            continue
        source = name_of(record)
        before = Value(len(calls) - 1)
        kind = record["class_name"]
        name, trainable = names.unique(source), keras_calls.trained(record)
        calls.append(Call(name, found, (before,), False, kind, source, trainable))
    known = tuple(shape for shape in shapes if shape)
    return Plan(
        tuple(calls), (0,), (Value(len(calls) - 1),), known, tuple(call.name for call in calls)
    )


def shape_of(config: Mapping[str, Any], field: str) -> tuple[int | None, ...]:
    """Returns a shape without its batch; empty where there is none."""
    shape = config.get(field)
    if not isinstance(shape, Sequence) or len(shape) < 2:
        return ()
    if not all(n is None or (isinstance(n, int) and n > 0) for n in shape[1:]):
        return ()
    return tuple(shape[1:])


class Names:
    """Names of submodules: those of layers, without slashes, each once."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def unique(self, source: str) -> str:
        start = source.replace("/", "_") or "layer"
        name, number = start, 1
        while name in self.taken:
            name, number = f"{start}_{number}", number + 1
        self.taken.add(name)
        return name


def functional(config: Mapping[str, Any], context: Context) -> Plan:
    names, found, pending = Names(), {}, []
    for record in config["layers"]:
        source = name_of(record)
        if source in found:
            raise InputError(f"two layers are called {source}")
        record = keras1.modern(record) if context.version < (2, 0) else record
        found[source] = (names.unique(source), layer(record, context), record)
        nodes = record.get("inbound_nodes") or []
        if found[source][1] is None:
            nodes = [[]]
        for number, node in enumerate(nodes):
            inputs, frozen = keras_calls.arguments(node, source)
            pending.append(keras_calls.Pending(source, record, number, inputs, frozen))
    if len(pending) > CALLS:
        raise InputError(f"the model calls its layers more than {CALLS} times")
    calls, places = keras_calls.ordered(pending, found)
    inputs = [keras_calls.history(entry) for entry in keras_calls.endings(config["input_layers"])]
    outputs = [keras_calls.history(entry) for entry in keras_calls.endings(config["output_layers"])]
    starts = tuple(keras_calls.place(entry, places).call for entry in inputs)
    ends = tuple(keras_calls.place(entry, places) for entry in outputs)
    shapes = tuple(
        shape_of(found[entry.layer][2]["config"], "batch_shape")
        or shape_of(found[entry.layer][2]["config"], "batch_input_shape")
        for entry in inputs
    )
    order = tuple(name for name, _, _ in found.values())
    return Plan(tuple(calls), starts, ends, shapes if all(shapes) else (), order)
