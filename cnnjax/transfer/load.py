"""A network and its variables from a file of another framework."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnjax import draws, models, tree
from cnnjax.errors import InputError
from cnnjax.images.description import Description
from cnnjax.transfer import (
    choose,
    hdf5,
    keras,
    keras_agreement,
    keras_model,
    keras_names,
    nearest,
    ours,
    record,
    safetensors,
    sources,
    torch,
    torch_rules,
)
from cnnjax.transfer.match import Match, Tensors, matched
from cnnjax.transfer.rules import Rule, in_order

log = logging.getLogger(__name__)

RULES: dict[str, dict[str, list[Rule]]] = {"keras": keras_names.RULES, "torch": torch_rules.RULES}
# Sides of images for which a network with a dense layer over its maps may have been made. For the
# others one side will do that all of them take.
SIDES, ANY_SIDE = (224, 227, 28, 32), 331


@dataclasses.dataclass(frozen=True)
class Imported:
    """A network from a file.

    Attributes:
      variables: float32.
      description: what travels with them.
      network: how the module is made again, see `record.Record`.
      input_shape: (height, width, channels) for which the file was found to fit, or what a network
        of Keras says of its own inputs, None where any number will do; empty where nobody says.
      task: what the network has learnt.
    """

    module: nn.Module
    variables: dict[str, Any]
    description: Description
    network: Mapping[str, Any]
    input_shape: tuple[int | None, ...] = ()
    task: str = "classification"


def load(
    name: str | os.PathLike,
    path: str | os.PathLike | None = None,
    classes: int | None = None,
    dialect: str | None = None,
    **options: Any,
) -> tuple[nn.Module, dict[str, Any]]:
    """Returns the module and the variables of `read_network`, which has the arguments."""
    found = read_network(name, path, classes, dialect, **options)
    return found.module, found.variables


def read_network(
    name: str | os.PathLike,
    path: str | os.PathLike | None = None,
    classes: int | None = None,
    dialect: str | None = None,
    *,
    input_shape: tuple[int, ...] | None = None,
    key: jax.Array | None = None,
    select: str | None = None,
    **fields: Any,
) -> Imported:
    """Returns the network `name` and its variables, float32, from the weights in `path`.

    A path alone will do for what `experiments.export` writes as safetensors and for files of Keras
    with a config (`keras_model.load`); of files without a graph it finds the network, where they
    fit exactly one, else the error lists the calls to choose from. The format is found from the
    file's content: `.weights.h5`, `.keras` and `.h5` of Keras; state dicts, checkpoints and whole
    modules of PyTorch (either container, TorchScript), safetensors, with PyTorch's names or ours.
    Neither framework is needed, and nothing in a file is run.

    Args:
      classes: None for those of the file. For another number the head starts afresh, from `key`,
        and a warning says so.
      dialect: of `models.DIALECTS[name]`; None for the one of the source whose tensors fit.
      input_shape: (height, width, channels), where a dense layer over the maps was made for another
        size than 224, 227, 32 or 28.
      select: which of several state dicts in a checkpoint: its key, or a part of it: "ema".
      fields: of the network, on top of the dialect's. What shapes determine may be left out.

    Raises InputError for a file that is damaged, of another format or of another network; a table
    then shows every tensor that is missing, left over or of another shape. What tensors do not tell
    is said in a warning, or, where it might well be otherwise, must be given.
    """
    if path is None:
        if not os.path.exists(name) and os.fspath(name) in models.MODELS:
            raise InputError(f"load({os.fspath(name)!r}) needs the path of its weights, too")
        path, name = name, ""
    called, kind = os.fspath(name), format_of(path)
    told = record.read(path) if kind == "safetensors" else None
    if not called and (kind == "keras" or (told and "keras" in told.network)):
        given = {"classes": classes, "dialect": dialect, **fields}
        if given := [f"{k}={v!r}" for k, v in given.items() if v is not None]:
            raise InputError(
                f"{path} describes its own network, which {', '.join(given)} cannot change: name "
                f"the network, load(NAME, {os.fspath(path)!r}, ...), to have ours"
            )
        return rebuilt(path, input_shape, told)
    if told is not None and called not in ("", told.network.get("name")):
        told = None  # another network is asked for
    if told is not None:
        called, input_shape = told.network["name"], input_shape or told.input_shape
        fields = {**told.network["fields"], **fields}
    if called:
        models.MODELS[called]  # an unknown name is said before a large file is read
    framework, tensors = read(path, select)
    if not called:
        called = nearest.network(
            path,
            tensors,
            lambda known: rules_for(known, framework, dialect),
            lambda known, rule: attempt(known, [rule], tensors, classes, input_shape, fields),
        )
    rules = rules_for(called, framework, dialect)
    if not rules:
        asked = f" in the dialect {dialect}" if dialect else ""
        raise InputError(f"{path} is a {framework} file; none is known for {called}{asked}")
    notes: tuple[str, ...] = ()
    if framework == "torch" and rules[-1].names is in_order and rules[-1].dialect is None:
        fields, input_shape, notes = choose.chosen(
            called, path, tensors, fields, input_shape, rules[-1]
        )
    match = attempt(called, rules, tensors, classes, input_shape, fields)
    if difference := match.difference():
        speaks = f" (as {match.rule.dialect})" if match.rule.dialect else ""
        raise InputError(f"{path} does not hold {called}{speaks}:\n{difference}")
    notes = (*notes, *match.notes)
    if notes and told is None:
        log.warning("%s does not say; assumed: %s", path, "; ".join(notes))
    variables = filled(match, path, key)
    if framework == "keras" and not match.fresh:
        keras_agreement.check(called, path, match.network, variables, match.input_shape)
    if told is None or told is None:
        about, task = sources.described(called, path, match, notes), "classification"
    else:
        about, task = told.description, told.task
        if match.fresh:
            about = dataclasses.replace(about, classes=())
        else:
            record.check(told, variables, path)
    network = record.recipe(called, match.network)
    return Imported(match.network, variables, about, network, match.input_shape, task)


def filled(match: Match, path: str | os.PathLike, key: jax.Array | None) -> dict[str, Any]:
    """Returns the variables of a match without faults, those of a fresh head drawn from `key`."""
    leaves = {leaf: jnp.asarray(array, jnp.float32) for leaf, array in match.arrays.items()}
    if match.fresh:
        names = ", ".join(match.fresh)
        log.warning("%s: another number of classes; initialised afresh: %s", path, names)
        leaves |= initialised(match, jax.random.key(0) if key is None else key)
    return tree.unflatten({leaf: leaves[leaf] for leaf in match.shapes})


def rebuilt(
    path: str | os.PathLike, input_shape: Sequence[int] | None, told: record.Record | None
) -> Imported:
    """Returns the network whose graph a file of Keras, or one of ours made from it, describes."""
    if told is None:
        module, variables, network = keras_model.load(path, input_shape)
        about = sources.rebuilt(path, module, variables)
        return Imported(module, variables, about, network, shape_of(module))
    module = keras_model.built(told.network, os.fspath(path))
    leaves = {name: jnp.asarray(a, jnp.float32) for name, a in safetensors.read(path).items()}
    shapes = keras_model.shapes_of(module, None, path)
    if difference := tree.difference(shapes, {name: a.shape for name, a in leaves.items()}):
        raise InputError(f"{path}: the arrays do not fit the network of the file:\n{difference}")
    variables = tree.unflatten({leaf: leaves[leaf] for leaf in shapes})
    record.check(told, variables, path)
    return Imported(module, variables, told.description, told.network, shape_of(module), told.task)


def shape_of(module: Any) -> tuple[int | None, ...]:
    """Returns the shape of the first input of a graph; empty where its config does not say."""
    return module.plan.shapes[0] if module.plan.shapes else ()


def attempt(
    name: str,
    rules: list[Rule],
    tensors: Tensors,
    classes: int | None,
    input_shape: tuple[int, ...] | None,
    fields: dict[str, Any],
) -> Match:
    """Returns the best match of a file with a network, in any image size that is tried."""
    sides = SIDES if any(rule.flattens for rule in rules) else [ANY_SIDE]
    shapes = [input_shape] if input_shape else [(side, side, None) for side in sides]
    return best_match(
        lambda rule, shape: matched(name, classes, rule, shape, fields, tensors), rules, shapes
    )


def rules_for(name: str, framework: str, dialect: str | None) -> list[Rule]:
    """Returns the ways in which files of `framework` may hold the network `name`."""
    if framework == "ours":
        return [Rule("ours", dialect, in_order, flattens=".*")]
    constructor = models.MODELS[name]
    family = next(f for f in models.EVERY if f.MODELS.get(name) is constructor)
    rules = RULES[framework].get(family.__name__.rsplit(".")[-1], [])
    return [rule for rule in rules if dialect in (None, rule.dialect)]


def best_match(attempt: Callable[..., Match], rules: list[Rule], shapes: list[Any]) -> Match:
    """Returns the first attempt without faults, else the one with the fewest."""
    best, refusal = None, None
    for rule, shape in itertools.product(rules, shapes):
        try:
            match = attempt(rule, shape)
        except InputError as error:  # images too small for this network, or fields unfit for it
            refusal = error
            continue
        faults = tree.faults(match.wanted, match.found)
        if best is None or faults < best[0]:
            best = faults, match
        if not faults:
            break
    if best is None:
        assert refusal is not None
        raise refusal
    return best[1]


def read(path: str | os.PathLike, select: str | None = None) -> tuple[str, Tensors]:
    """Returns whose names a file has, "keras", "torch" or "ours", and its tensors by name.

    `select` chooses among several state dicts in one checkpoint.
    """
    match format_of(path):
        case "keras":
            return "keras", keras.tensors(path, hdf5.read(path))
        case "safetensors":
            tensors = safetensors.read(path)
            return ("ours" if ours.own(tensors) else "torch"), tensors
    return "torch", torch.read(path, select)


def format_of(path: str | os.PathLike) -> str:
    """Returns "keras", "safetensors" or "torch", from the content of a file."""
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if start.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except Exception as error:  # a damaged directory can fail in any way at all
            raise InputError(f"{path} is a damaged zip archive: {error}") from error
        return "keras" if hdf5.ARCHIVED & set(names) else "torch"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < os.path.getsize(path):
        return "safetensors"
    if start.startswith(b"\x80"):
        return "torch"
    raise InputError(f"{path} is no file of weights: not HDF5, Keras, PyTorch or safetensors")


def initialised(match: Match, key: jax.Array) -> dict[str, jax.Array]:
    """Returns the fresh leaves; the rest of the initialisation is not even computed."""

    def some(key: jax.Array) -> dict[str, jax.Array]:
        images = jnp.zeros((1, *match.input_shape))
        leaves = tree.flatten(match.network.init(key, images, train=False))
        return {leaf: leaves[leaf] for leaf in match.fresh}

    return draws.program(some)(key)
