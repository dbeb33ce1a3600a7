"""A trained network, and how one is read back from the workdir of a run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import commands, data, history, images, models, paths, tasks
from cnnjax import config as configuration
from cnnjax.data import prepare
from cnnjax.errors import InputError
from cnnjax.transfer.record import recipe
from cnnjax.workdir import checkpoint
from cnnjax.workdir.files import DATASET, read_config, read_json, understood


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A network with its variables and what it expects.

    Attributes:
      task: what it has learnt.
      preprocessing: from an image file to the module's input.
      config: of the run; empty where the network comes from a file of weights.
      step: training steps behind the variables.
      dataset: what dataset.json says of the data that it was trained on; empty like `config`.
      network: how the module is made again, see `transfer.record`.
      source: what the variables were read from, for people.
      assumed: what nobody has said and had to be assumed, a sentence each.
    """

    task: tasks.Task
    module: nn.Module
    variables: dict[str, Any]
    preprocessing: images.Preprocessing
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    config: dict[str, Any]
    step: int
    dataset: dict[str, Any]
    network: Mapping[str, Any]
    source: str = ""
    assumed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the network, for people."""
        return self.network.get("name") or Path(self.source).name

    @property
    def preprocess(self) -> Callable[[jax.Array], jax.Array]:
        """From pixels in [0, 255], (batch, *shape), to the module's input."""
        return functools.partial(images.normalized, record=self.preprocessing)

    @property
    def facts(self) -> data.Facts:
        return data.Facts(self.shape, self.class_names)


def build_module(config: Mapping[str, Any], outputs: int) -> nn.Module:
    """Returns the network of a config, with so many outputs."""
    model = config["model"]
    dtype = None if model["dtype"] == "float32" else jnp.dtype(model["dtype"])
    fields = configuration.extra(config, "model")
    if "classes" in fields:
        raise InputError("config.model has no field 'classes': the data set has its own")
    network = models.build(model["name"], outputs, model["dialect"] or None, **fields)
    return network.clone(dtype=dtype)


def load_data(config: Mapping[str, Any], data_dir: str | None = None) -> data.Dataset:
    """Returns the data set of a config, from `data_dir` if it lies elsewhere now.

    Raises InputError where it does not hold what the task needs.
    """
    section, name = config["data"], tasks.name_of(config)
    task = tasks.TASKS[name]
    dataset = data.load(
        section["name"],
        data_dir or section["data_dir"] or None,
        manual_dir=section["manual_dir"] or None,
        validation=section["validation"],
        image_size=section["image_size"],
        resize=section["resize"],
        crop_fraction=section["crop_fraction"],
        interpolation=section["interpolation"],
        seed=config["seed"],
        task=name,
        stratify=task.stratify,
        only=section["only"],
        limit=section["limit"],
        **configuration.extra(config, "data"),
    )
    tasks.check_targets(name, task, dataset)
    return dataset


def stored_data(config: Mapping[str, Any], data_dir: str | None = None) -> data.Dataset:
    """Returns the data set of a run that was trained; nothing is fetched, and no folder made.

    Raises InputError where `data_dir`, or else the place of the config, does not hold the set.
    """
    if not config:
        raise InputError("a file of weights does not say on which data it was trained")
    name, place = config["data"]["name"], data_dir or config["data"]["data_dir"]
    if name not in data.DATASETS and not prepare.is_prepared(name, place or None):
        where = prepare.data_directory(place or None)
        raise InputError(
            f"{where} holds no prepared {name}, which this run was trained on; "
            f"{commands.spelled('evaluate')} --data_dir=DIR reads it from elsewhere, and where a "
            "file of yours brings it, --register=FILE takes it"
        )
    return load_data(config, data_dir)


def data_for(network: Trained, name: str, data_dir: str | None = None) -> data.Dataset:
    """Returns a prepared data set, or the folder of one's own that `name` is the path of.

    Its images get the network's size in the network's way.
    """
    record, path = network.preprocessing, paths.expanded(name)
    options: dict[str, Any] = {}
    known = name in data.DATASETS or prepare.is_prepared(name, data_dir)
    if not known and path.is_dir():
        name, options = "folder", {"path": str(path)}
    elif not known:
        where = prepare.data_directory(data_dir)
        raise InputError(f"{name} is no folder, and {where} holds no prepared data set of the name")
    if record.size[0] != record.size[1]:
        raise InputError(f"data sets are of square images; {network.source} takes {record.size}")
    return data.load(
        name,
        data_dir,
        image_size=record.size[0],
        resize=record.resize,
        crop_fraction=record.crop_fraction,
        interpolation=record.interpolation,
        stratify=network.task.stratify,
        **options,
    )


def preprocessing(
    config: Mapping[str, Any], shape: tuple[int, int, int], mean: Any, std: Any
) -> images.Preprocessing:
    """Returns what the network of a config expects of images, given the statistics of its set.

    A set that keeps its own size resizes nothing; other images then keep their proportions.
    """
    section = config["data"]
    unit = section["normalize"] == "unit"
    return images.Preprocessing(
        size=shape[:2],
        resize=section["resize"] if section["image_size"] else "crop",
        crop_fraction=section["crop_fraction"],
        interpolation=section["interpolation"],
        channels=shape[2],
        mean=(0.0,) if unit else tuple(mean),
        std=(1.0,) if unit else tuple(std),
    )


def load(workdir: Path, which: str = "auto", step: int | None = None) -> Trained:
    """Returns the network of a run.

    Args:
      workdir: of a run that has saved at least one checkpoint.
      which: "last", "best" on validation, or "auto": the one the run's config selects.
      step: of the checkpoint, in place of `which`.
    """
    config = read_config(workdir)
    task = tasks.TASKS[config["task"]]
    stored = read_json(workdir / DATASET)
    with understood(workdir / DATASET):
        shape, class_names, record = facts(config, stored)
    module = build_module(config, task.outputs(data.Facts(shape, class_names)))
    models.check_input(module, shape)
    which = config["evaluate"]["select"] if which == "auto" else which
    template = jax.eval_shape(
        lambda: dict(module.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False))
    )
    template = {"params": template["params"], "batch_stats": template.get("batch_stats", {})}
    score = functools.partial(tasks.score, task) if which == "best" else None
    if step is None:
        step, variables = checkpoint.read_variables(workdir, template, score)
    else:
        variables = checkpoint.read_step(workdir, step, template)
    return Trained(
        task, module, variables, record, shape, class_names, config, step, stored,
        recipe(config["model"]["name"], module), str(workdir),
    )  # fmt: skip


def facts(
    config: Mapping[str, Any], stored: Mapping[str, Any]
) -> tuple[tuple[int, int, int], tuple[str, ...], images.Preprocessing]:
    """Returns shape, names of the classes and preprocessing as dataset.json says them."""
    height, width, channels = shape = tuple(stored["shape"])
    names = tuple(stored["class_names"])
    if not all(type(n) is int and 0 < n < 2**16 for n in (height, width, channels)):
        raise InputError(f"shape is height, width and channels; found {shape}")
    task = tasks.TASKS[tasks.name_of(config)]
    needed = "label" in task.targets(data.Facts(shape, names))
    if (needed and not names) or not all(isinstance(name, str) for name in names):
        raise InputError("class_names are texts" + (", one at least" if needed else ""))
    if "preprocessing" in stored:
        return shape, names, images.from_json(stored["preprocessing"])
    return shape, names, preprocessing(config, shape, stored["mean"], stored["std"])


def check_data(network: Trained, dataset: data.Dataset) -> None:
    """Refuses a data set that is not what the network was trained on.

    Were its splits drawn anew, images of the training split could lie in the test split now.
    """
    names = dataset.class_names
    if not network.config and network.class_names == tuple(map(str, range(len(names)))):
        names = network.class_names  # numbers stand for names that nobody knows
    if dataset.shape != network.shape or names != network.class_names:
        raise InputError(
            f"{network.source} was trained on {network.shape} images of "
            f"{len(network.class_names)} classes; "
            f"{dataset.name} now has {dataset.shape} images of {dataset.classes} classes"
        )
    if not network.dataset:
        return
    now = {"examples": {s: len(getattr(dataset, s)) for s in network.dataset["examples"]}}
    now |= {"mean": list(dataset.mean), "std": list(dataset.std)}
    changed = history.differences({name: network.dataset[name] for name in now}, now)
    if changed:
        raise InputError(
            f"{dataset.name} is not what the run was trained on ({'; '.join(changed)}): with other "
            "images the splits are others, too, and a test would count images of the training"
        )
