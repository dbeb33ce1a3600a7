"""One door to a trained network, whether it lies in a workdir or in a file of weights."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from flax.errors import FlaxError

from cnnjax import fields, tasks, transfer
from cnnjax.errors import InputError
from cnnjax.evaluation import program, trained
from cnnjax.evaluation.trained import Trained
from cnnjax.images import PRESETS, Preprocessing
from cnnjax.transfer import classifier
from cnnjax.transfer.graph import Graph
from cnnjax.workdir.files import CHECKPOINTS, CONFIG

LARGEST_LIST = 8 << 20  # bytes of a file of class names


def network(
    place: Path,
    which: str = "auto",
    *,
    asked: str = "",
    classes: Sequence[str] = (),
    preprocessing: str = "",
) -> Trained:
    """Returns the trained network in `place`, with what was assumed of it.

    Args:
      place: the workdir of a run, a checkpoint in it (`workdir/checkpoints/900`), or any file of
        weights that `transfer.read_network` reads.
      which: checkpoint of a workdir, as in `trained.load`.
      asked: of a file that does not say what it holds: the network and its fields in words,
        "lenet5 act=relu pool=max"; also `input_shape`, `dialect` and `select`.
      classes: names in the order of the outputs, where the file has none or other ones.
      preprocessing: a name in `images.PRESETS` and fields of `images.Preprocessing` in words, in
        place of what the file says: "torchvision size=96".
    """
    workdir, step = run_of(place)
    if workdir is not None:
        if asked:
            raise InputError(f"{place} says itself which network it holds; {asked!r} is for files")
        found = trained.load(workdir, which, step)
    else:
        found = of_file(place, asked, preprocessing)
    if workdir is not None and preprocessing:
        record = changed(found.preprocessing, preprocessing)
        if (record.size, record.channels) != (found.shape[:2], found.shape[2]):
            raise InputError(f"{place} was trained on images of {found.shape}, and takes no others")
        found = dataclasses.replace(found, preprocessing=record)
    if classes:
        found = named(found, classes)
    return found


def run_of(place: Path) -> tuple[Path | None, int | None]:
    """Returns the workdir, and the step of the checkpoint that a path names; None for others."""
    if (place / CONFIG).is_file():
        return place, None
    workdir = place.parent.parent
    if place.parent.name == CHECKPOINTS and place.name.isdigit() and (workdir / CONFIG).is_file():
        return workdir, int(place.name)
    if place.is_dir():
        raise InputError(f"{place} is a folder, but no workdir of a run: it holds no {CONFIG}")
    return None, None


def of_file(path: Path, asked: str, preprocessing: str) -> Trained:
    """Returns the network of a file of weights."""
    found = imported(path, asked)
    record = changed(found.description.preprocessing, preprocessing)
    if record.size == (0, 0):
        raise InputError(
            f"{path} takes images of any size: say which, as in --preprocessing='size=224'"
        )
    height, width = record.size
    shape = (height, width, record.channels)
    task, module = tasks.TASKS[found.task], found.module
    if isinstance(module, Graph):
        module, exclusive = classifier.of(module, found.variables, shape, str(path))
        if not exclusive:
            task = dataclasses.replace(task, predict=jax.nn.sigmoid)
    assumed = () if preprocessing else found.description.assumed
    result = Trained(
        task, module, found.variables, record, shape, found.description.classes, {}, 0, {},
        found.network, str(path), assumed,
    )  # fmt: skip
    count = outputs(result)
    if result.class_names and task.outputs(result.facts) != count:
        raise InputError(
            f"{path} gives {count} numbers of an image, but names {len(result.class_names)} classes"
        )
    if not result.class_names:
        names = tuple(map(str, range(count)))
        more = "classes have numbers for names: --classes names them"
        result = dataclasses.replace(result, class_names=names, assumed=(*assumed, more))
    return result


def imported(path: Path, asked: str) -> transfer.Imported:
    """Returns what a file holds, by the words in `asked`."""
    made = program.read(path)
    if made is not None:
        if asked:
            raise InputError(f"{path} is a program; {asked!r} is for files of weights")
        module, told = made
        return transfer.Imported(
            module, {}, told.description, told.network, told.input_shape, told.task
        )
    name, given = words(asked)
    known = inspect.signature(transfer.read_network).parameters
    if "path" in given or "name" in given:
        raise InputError(f"{asked!r} is to name a network and its fields, not a path")
    try:
        return transfer.read_network(*([name] if name else []), path, **given)  # pyright: ignore
    except TypeError as error:
        raise InputError(
            f"{asked!r} is not understood: {error}; known: {', '.join(known)}"
        ) from None
    except InputError as error:
        if "transfer.load(" not in str(error):
            raise
        raise InputError(
            f"{error}\nOn the command line the same is --network='NAME FIELD=VALUE ...', as in "
            "--network='lenet5 act=relu pool=max'"
        ) from None


def changed(record: Preprocessing, asked: str) -> Preprocessing:
    """Returns the preprocessing that the words say, the rest as in `record`."""
    name, given = words(asked)
    known = fields.defaults(Preprocessing)
    for field, value in given.items():
        if isinstance(value, int | float) and isinstance(known.get(field), tuple):
            given[field] = (value,) * (2 if field == "size" else 1)
    if name:
        own = {"size": record.size, "channels": record.channels}
        record = dataclasses.replace(PRESETS[name], **own)
    return dataclasses.replace(record, **fields.checked("preprocessing", given, known))


def words(text: str) -> tuple[str, dict[str, Any]]:
    """Returns the first word, if it is no field, and the fields of "NAME FIELD=VALUE ..."."""
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise InputError(f"{text!r}: {error}") from None
    name = parts.pop(0) if parts and "=" not in parts[0] else ""
    given: dict[str, Any] = {}
    for part in parts:
        field, equals, value = part.partition("=")
        if not equals or not field.isidentifier():
            raise InputError(f"{part!r} in {text!r} is no FIELD=VALUE")
        try:
            given[field] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            given[field] = value
    return name, given


def named(found: Trained, classes: Sequence[str]) -> Trained:
    """Returns the network with other names of its classes."""
    count = len(found.class_names)
    if len(classes) != count:
        raise InputError(f"{found.source} has {count} classes; given are {len(classes)} names")
    assumed = tuple(line for line in found.assumed if not line.startswith("classes have"))
    return dataclasses.replace(found, class_names=tuple(classes), assumed=assumed)


def outputs(found: Trained) -> int:
    """Returns how many numbers the network gives of an image."""
    image = jax.ShapeDtypeStruct((1, *found.shape), "float32")
    apply: Any = found.module.apply
    try:
        shape = jax.eval_shape(lambda v, x: apply(v, x, train=False), found.variables, image).shape
    except (TypeError, ValueError, IndexError, FlaxError) as error:
        size = "x".join(map(str, found.shape))
        raise InputError(f"{found.source} does not take images of {size}: give others by "
                         "--preprocessing='size=SIDE'") from error  # fmt: skip
    return shape[-1]


def class_list(text: str) -> tuple[str, ...]:
    """Returns the names in "cat,dog", or those in a text file, one a line."""
    path = Path(text).expanduser()
    if "," not in text and path.is_file() and path.stat().st_size < LARGEST_LIST:
        try:
            return tuple(line.strip() for line in path.read_text().splitlines() if line.strip())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{text} is no list of classes: {error}") from None
    return tuple(word.strip() for word in text.split(",") if word.strip())
