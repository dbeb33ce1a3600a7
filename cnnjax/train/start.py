"""What a run starts from besides chance: another run, or a file of weights (`config.init`)."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import config as configuration
from cnnjax import data, history, images, models, transfer, tree
from cnnjax.errors import InputError, nearest
from cnnjax.evaluation import opened as door
from cnnjax.evaluation import trained
from cnnjax.images import Preprocessing, description
from cnnjax.train.state import TrainState, from_saved
from cnnjax.workdir import checkpoint
from cnnjax.workdir.files import CONFIG, DATASET, read_config, read_json

# Fields of a network that training may have otherwise: they change no answer of given weights.
FREE = ("classes", "dtype", "axis_name", "parent", "name", "momentum")
FREE_ENDS = ("_init", "dropout_rate")
NORMALISATION = ("order", "scale", "mean", "std")
HEADLESS = 2  # classes to ask a file for that has no head


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """What `init.path` holds.

    Attributes:
      leaves: "params/stem/kernel" -> array; without those of the head where it has none.
      classes: names in the order of the outputs; empty where nobody says.
      sha256: of the file, or of the run's variables (`tree.digest`).
      workdir, step: of a run; None for a file.
    """

    path: str
    module: nn.Module
    leaves: Mapping[str, Any]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    sha256: str
    workdir: Path | None = None
    step: int | None = None


def remembered(config: Mapping[str, Any], workdir: Path) -> str:
    """Returns the digest that the config gives, or else that the run in `workdir` started from."""
    given = config["init"]
    if given["path"] and not given["sha256"] and (workdir / CONFIG).is_file():
        before = read_config(workdir)["init"]
        if before["path"] == given["path"]:
            return before["sha256"]
    return given["sha256"]


def opened(
    config: Mapping[str, Any], workdir: Path
) -> tuple[dict[str, Any], Callable[[], Source] | None]:
    """Returns the config with the digest of what it starts from, and what reads that, once.

    None for a run that starts by chance. A run that has begun reads nothing unless it has lost all
    of its checkpoints; where a file is another one by now, a line says so. Raises InputError,
    before data are read, for what fits no data at all.
    """
    given = config["init"]
    path, known = given["path"], given["sha256"]
    if not path:
        return dict(config), None
    source = functools.cache(functools.partial(read, config))
    if (workdir / DATASET).is_file():
        if known and os.path.isfile(path) and description.digest(path) != known:
            print(f"warning: {path} is not what it was when this run began; it is not read again.")
        return dict(config), source
    check_early(source(), config)
    return {**config, "init": {**given, "sha256": source().sha256}}, source


def told(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns what a record says of the start; empty for chance."""
    return {k: config["init"][k] for k in ("path", "sha256") if config["init"]["path"]}


def read(config: Mapping[str, Any]) -> Source:
    """Returns what `init.path` holds, checked against the network of the config."""
    given = config["init"]
    path = Path(given["path"])
    if not path.exists():
        raise InputError(f"init.path={path} does not exist")
    workdir, step = door.run_of(path)
    if given["take"] == "run" and workdir is None:
        raise InputError(f"init.take=run goes on with a run; {path} is no workdir")
    found = of_file(config, path) if workdir is None else of_run(config, path, workdir, step)
    if given["sha256"] not in ("", found.sha256):
        raise InputError(
            f"{path} is not what init.sha256 says: {given['sha256'][:12]}..., but "
            f"{found.sha256[:12]}..."
        )
    check_function(found, trained.build_module(config, 2))
    return found


def of_run(config: Mapping[str, Any], path: Path, workdir: Path, step: int | None) -> Source:
    which = config["init"]["select"] or "auto"
    known = ("auto", "last", "best")
    if which not in known:
        raise InputError(f"init.select={which!r} of a run{nearest(which, known)}")
    run = trained.load(workdir, which, step)
    return Source(
        str(path), run.module, tree.flatten(run.variables), run.class_names, run.preprocessing,
        tree.digest(run.variables), workdir, run.step,
    )  # fmt: skip


def of_file(config: Mapping[str, Any], path: Path) -> Source:
    model, side = config["model"], config["data"]["image_size"]
    shape: Any = (side, side, None) if side else None
    load = functools.partial(
        transfer.read_network, model["name"], path, dialect=model["dialect"] or None,
        input_shape=shape, select=config["init"]["select"] or None,
        **configuration.extra(config, "model"),
    )  # fmt: skip
    headless = False
    try:
        found = load()
    except InputError as error:
        if config["init"]["head"] == "kept":
            raise
        try:
            found, headless = load(classes=HEADLESS), True
        except InputError:
            raise error from None
    leaves = tree.flatten(found.variables)
    if headless:
        leaves = {name: leaf for name, leaf in leaves.items() if not of_head(name)}
    return Source(
        str(path), found.module, leaves, found.description.classes,
        found.description.preprocessing, description.digest(path),
    )  # fmt: skip


def of_head(leaf: str) -> bool:
    """Returns whether a leaf is of the classifier, an auxiliary one's included."""
    return "head" in leaf.split("/")


def check_function(found: Source, module: nn.Module) -> None:
    """Refuses a network that computes another function of the same weights."""
    if type(found.module) is not type(module):
        raise InputError(
            f"{found.path} is of the network {type(found.module).__name__}, and config.model is "
            f"{type(module).__name__}"
        )
    for field in dataclasses.fields(module):
        if field.name in FREE or field.name.endswith(FREE_ENDS):
            continue
        theirs, ours = getattr(found.module, field.name), getattr(module, field.name)
        if theirs != ours:
            raise InputError(
                f"{found.path} is of a network with {field.name}={theirs!r}, and this one has "
                f"{ours!r}: give --config.model.{field.name}={theirs!r}, or the model.dialect of "
                "the source"
            )


def fitted(
    found: Source, module: nn.Module, facts: data.Facts, head: str
) -> tuple[dict[str, Any], list[str]]:
    """Returns the leaves that the module starts from, and the names of those that are fresh.

    Args:
      head: as in `config.init.head`.

    Raises InputError, with a table of names and shapes, where others than the head differ.
    """
    wanted = tree.shapes(models.variable_shapes(module, facts.shape))
    shapes = tree.shapes(tree.unflatten(found.leaves))
    heads = {name for name in wanted if of_head(name)}
    fits = all(wanted[name] == shapes.get(name) for name in heads)
    named = not found.classes or found.classes == facts.class_names
    fresh = head == "fresh" or (head == "auto" and not (fits and named))
    if fresh:
        wanted = {name: shape for name, shape in wanted.items() if name not in heads}
        shapes = {name: shape for name, shape in shapes.items() if not of_head(name)}
    if difference := tree.difference(wanted, shapes):
        size = "x".join(map(str, facts.shape))
        raise InputError(
            f"{found.path} does not fit the network for images of {size}:\n{difference}"
        )
    return {name: found.leaves[name] for name in wanted}, sorted(heads) if fresh else []


def check_early(found: Source, config: Mapping[str, Any]) -> None:
    """Refuses, before any data are read, what cannot fit whatever they are."""
    side = config["data"]["image_size"] or found.preprocessing.size[0] or models.LARGE
    facts = data.Facts((side, side, found.preprocessing.channels), found.classes)
    outputs = max(len(found.classes), 2)
    head = "auto" if config["init"]["head"] == "kept" else config["init"]["head"]
    fitted(found, trained.build_module(config, outputs), facts, head)


def preprocessing(
    config: Mapping[str, Any],
    dataset: data.Dataset,
    source: Callable[[], Source] | None,
    workdir: Path,
) -> Preprocessing | None:
    """Returns how pixels become inputs where a run starts from others' weights; None for chance.

    Said aloud when the run begins, and then kept.
    """
    if source is None:
        return None
    if (workdir / DATASET).is_file():
        return images.from_json(read_json(workdir / DATASET)["preprocessing"])
    own = trained.preprocessing(config, dataset.shape, dataset.mean, dataset.std)
    record, said = normalised(source(), own, config["init"]["preprocessing"])
    print(said)
    return record


def normalised(found: Source, own: Preprocessing, wanted: str) -> tuple[Preprocessing, str]:
    """Returns the record of the "source" or of the "data", as wanted, and what to say of it."""
    theirs, size = found.preprocessing, ""
    if theirs.size not in ((0, 0), own.size):
        sides = ("x".join(map(str, record.size)) for record in (theirs, own))
        size = " It has seen images of {} pixels; these are {}.".format(*sides)
    values = {name: getattr(theirs, name) for name in NORMALISATION}
    told = ", ".join(f"{name} {value}" for name, value in values.items())
    if all(getattr(own, name) == value for name, value in values.items()):
        return own, f"Pixels are normalised as for {found.path}.{size}"
    if wanted == "source":
        said = f"Pixels are normalised as for {found.path}: {told}.{size}"
        return dataclasses.replace(own, **values), said
    return own, f"warning: {found.path} was made for pixels with {told}; these differ.{size}"


def started(
    state: TrainState, found: Source, module: nn.Module, facts: data.Facts, head: str
) -> TrainState:
    """Returns the state with the variables of the source, and says so."""
    kept, fresh = fitted(found, module, facts, head)
    place = jax.tree.leaves(state.params)[0].sharding
    arrays = {n: jax.device_put(jnp.asarray(leaf, jnp.float32), place) for n, leaf in kept.items()}
    merged = tree.unflatten(tree.flatten(state.trained) | arrays)
    merged = {"params": merged["params"], "batch_stats": merged.get("batch_stats", {})}
    average = jax.tree.map(jnp.copy, merged) if state.average else {}
    what = f"the head is fresh ({', '.join(fresh)})" if fresh else "the head is kept"
    print(f"Starting from {found.path}: {len(kept)} arrays; {what}.")
    return state.replace(**merged, average=average)  # pyright: ignore[reportAttributeAccessIssue]


def continued(
    found: Source, config: Mapping[str, Any], blank: TrainState, steps: int
) -> TrainState:
    """Returns the whole state of the source, of the kind of `blank`, and says what changes.

    Raises InputError where the run has no steps left, or another optimiser.
    """
    assert found.workdir is not None and found.step is not None
    if found.step >= steps:
        raise InputError(
            f"{found.path} has taken {found.step} steps, and {config['epochs']:g} epochs are "
            f"{steps}: give more config.epochs to go on"
        )
    templates = {"variables": blank.variables, "training": blank.saved()}
    items = checkpoint.read(found.workdir, found.step, templates)
    before = read_config(found.workdir)
    changed = history.differences({**before, "init": {}}, {**config, "init": {}})
    what = "; ".join(changed) or "nothing is changed"
    print(f"Going on from {found.path} at step {found.step} of {steps}: {what}.")
    return from_saved(items["variables"], items["training"])
