"""A trained network, read back from the workdir of a finished or running run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import config as configuration
from cnnjax import data, models
from cnnjax.errors import InputError
from cnnjax.workdir import checkpoint
from cnnjax.workdir.files import CONFIG, DATASET, read_json


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A network with its variables and what it expects.

    Attributes:
      preprocess: from pixels in [0, 255], (batch, *shape), to the module's input.
      step: training steps behind the variables.
    """

    module: nn.Module
    variables: dict[str, Any]
    preprocess: Callable[[jax.Array], jax.Array]
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    config: dict[str, Any]
    step: int


def build_module(config: Mapping[str, Any], classes: int) -> nn.Module:
    """Returns the network of a config."""
    model = config["model"]
    dtype = None if model["dtype"] == "float32" else jnp.dtype(model["dtype"])
    fields = configuration.extra(config, "model")
    if "classes" in fields:
        raise InputError("config.model has no field 'classes': the data set has its own")
    return models.build(model["name"], classes, **fields).clone(dtype=dtype)


def load_data(config: Mapping[str, Any], data_dir: str | None = None) -> data.Dataset:
    """Returns the data set of a config, from `data_dir` if it lies elsewhere now."""
    section = config["data"]
    return data.load(
        section["name"],
        data_dir or section["data_dir"] or None,
        manual_dir=section["manual_dir"] or None,
        validation=section["validation"],
        image_size=section["image_size"],
        seed=config["seed"],
        **configuration.extra(config, "data"),
    )


def preprocessing(normalize: str, mean: Any, std: Any) -> Callable[[jax.Array], jax.Array]:
    """Returns the function of a config's `data.normalize`, given the set's statistics."""
    if normalize == "unit":
        return data.normalize
    return functools.partial(data.normalize, mean=tuple(mean), std=tuple(std))


def load(workdir: Path, which: str = "auto") -> Trained:
    """Returns the network of a run.

    Args:
      workdir: of a run that has saved at least one checkpoint.
      which: "last", "best" on validation, or "auto": the one the run's config selects.
    """
    config = read_json(workdir / CONFIG)
    facts = read_json(workdir / DATASET)
    shape = tuple(facts["shape"])
    module = build_module(config, len(facts["class_names"]))
    which = config["evaluate"]["select"] if which == "auto" else which
    template = jax.eval_shape(
        lambda: dict(module.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False))
    )
    template = {"params": template["params"], "batch_stats": template.get("batch_stats", {})}
    step, variables = checkpoint.read_variables(workdir, template, best=which == "best")
    preprocess = preprocessing(config["data"]["normalize"], facts["mean"], facts["std"])
    return Trained(module, variables, preprocess, shape, tuple(facts["class_names"]), config, step)


def check_data(network: Trained, dataset: data.Dataset) -> None:
    """Refuses a data set that is not what the network was trained for."""
    if dataset.shape != network.shape or dataset.class_names != network.class_names:
        raise InputError(
            f"the run was trained on {network.shape} images of {len(network.class_names)} classes; "
            f"{dataset.name} now has {dataset.shape} images of {dataset.classes} classes"
        )
