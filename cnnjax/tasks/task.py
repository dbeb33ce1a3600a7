"""What a task is: all that training, evaluation and prediction ask of what is learnt."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from PIL import Image

from cnnjax.augment import Moves
from cnnjax.data import Dataset, Facts
from cnnjax.errors import InputError

Arrays = Mapping[str, jax.Array]
Finding = Mapping[str, Any]
# What a network sees of a picture: left, top, right, bottom, in shares of its width and height.
View = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Target:
    """An array that an example holds besides its image, without the dimension of the batch.

    A length of None may be any, as long as all examples of a data set share it.
    """

    shape: tuple[int | None, ...]
    dtype: DTypeLike

    def fits(self, array: np.ndarray) -> bool:
        """Returns whether an array holds such targets, one per row."""
        lengths = array.shape[1:]
        alike = all(n in (None, m) for n, m in zip(self.shape, lengths, strict=False))
        return alike and len(self.shape) == len(lengths) and array.dtype == np.dtype(self.dtype)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number that says how good a network is.

    Attributes:
      of: from sums over examples, `loss` and `count` among them, to the number.
      unit: "%" shows a share in per cent.
      higher: whether more is better.
      gathered: whether `of` needs what `Gathers.values` adds to the sums: training reports leave
        such a figure out, evaluation has it.
    """

    of: Callable[[Mapping[str, Any]], Any]
    unit: str = ""
    higher: bool = True
    gathered: bool = False


@dataclasses.dataclass(frozen=True)
class Gathers:
    """What figures need that are no function of sums, such as a ranking of all examples.

    Attributes:
      keep: from outputs and targets to what evaluation keeps of each example, by name,
        (batch, ...); runs in the devices.
      values: from that of all examples, as numpy arrays in their order, to values by name.
    """

    keep: Callable[[Any, Arrays], Arrays]
    values: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]]


def as_it_is(picture: Image.Image, prediction: Any, facts: Facts) -> Image.Image:
    del prediction, facts
    return picture


def anywhere(prediction: Any, view: View) -> Any:
    del view
    return prediction


@dataclasses.dataclass(frozen=True)
class Task:
    """What is learnt from images. All functions are pure; those of arrays run in the devices.

    Attributes:
      targets: from the facts of a data set to what an example holds besides `image`, by name.
      outputs: from the facts to the number of outputs that the network must give.
      loss: from outputs, targets and `values` by name to the loss of each example, (batch,); also
        of auxiliary outputs, without `values`.
      measures: from outputs and targets to what is summed over examples besides loss and count,
        by name, (batch, ...).
      figures: what is reported of these sums besides the loss, by name.
      gathers: what evaluation keeps of all examples for figures that no sums give.
      per_class: figures that are (classes,) each, by name; evaluation prints them.
      best: the figure that chooses the best checkpoint, or "loss".
      predict: from outputs to predictions, any pytree of (batch, ...).
      place: from the prediction of one example, as numpy arrays, and the view that it is of, to
        the same in the whole picture.
      findings: from a placed prediction and the facts, with the shape of the picture, to what was
        found there, the surest first: values for JSON by name, places in pixels.
      finds: what JSON calls the list of findings.
      top: how many of them are told of a picture unless people say otherwise.
      columns: name -> unit of what of a finding is printed for people.
      draw: from a picture, a placed prediction and its facts to a picture that shows both.
      objects: from a placed prediction and the facts to how sure each pixel of the picture,
        (height, width), is one of the objects; None where a task does not know.
      loss_unit: of the loss.
      values: fields of the config that `loss` takes as arguments.
      mixes: augmentations of two examples in one image that have a meaning here: the loss is then
        linear in the shares of both.
      moves: how targets follow when augmentation moves the pixels of their image, by name; those
        not named stay as they are.
      stratify: the target, a class per example, of which every split holds the same shares; "" for
        none.
    """

    targets: Callable[[Facts], Mapping[str, Target]]
    outputs: Callable[[Facts], int]
    loss: Callable[..., jax.Array]
    measures: Callable[[Any, Arrays], Arrays]
    figures: Mapping[str, Figure]
    best: str
    predict: Callable[[Any], Any]
    findings: Callable[[Any, Facts], list[Finding]]
    finds: str
    columns: Mapping[str, str]
    draw: Callable[[Image.Image, Any, Facts], Image.Image] = as_it_is
    place: Callable[[Any, View], Any] = anywhere
    gathers: Gathers | None = None
    per_class: Mapping[str, Figure] = dataclasses.field(default_factory=dict)
    top: int = 3
    objects: Callable[[Any, Facts], np.ndarray] | None = None
    loss_unit: str = ""
    values: tuple[str, ...] = ()
    mixes: tuple[str, ...] = ()
    moves: Mapping[str, Moves] = dataclasses.field(default_factory=dict)
    stratify: str = ""


def sums(
    task: Task, outputs: Any, targets: Arrays, losses: jax.Array, counted: jax.Array
) -> dict[str, jax.Array]:
    """Returns sums over the examples where `counted` is 1: loss, measures, and their count.

    Sums of parts add up exactly, where averages over ragged batches or devices would not.
    """

    def total(values: jax.Array) -> jax.Array:
        kept = (counted > 0).reshape(-1, *(1 for _ in values.shape[1:]))
        zero = jnp.zeros((), values.dtype)
        return jnp.sum(jnp.where(kept, values, zero).astype(jnp.float32), axis=0)

    measures = task.measures(outputs, targets)
    return {
        "loss": jnp.sum(jnp.where(counted > 0, losses, 0)),
        **{name: total(values) for name, values in measures.items()},
        "count": jnp.sum(counted.astype(jnp.float32)),
    }


def report(task: Task, sums: Mapping[str, Any], gathered: bool = False) -> dict[str, float]:
    """Returns the mean loss and the figures of sums on the host.

    `gathered` says that the sums hold what the task gathers, too.
    """
    known = {name: f for name, f in task.figures.items() if gathered or not f.gathered}
    means = {"loss": float(sums["loss"] / sums["count"])}
    return means | {name: float(figure.of(sums)) for name, figure in known.items()}


def more_is_better(task: Task, name: str) -> bool:
    """Returns whether more of the loss or a figure is better."""
    return name != "loss" and task.figures[name].higher


def of_classes(task: Task, values: Mapping[str, Any], facts: Facts) -> dict[str, dict[str, float]]:
    """Returns the figures of each class by name; empty where the task has none."""
    found = {name: np.asarray(figure.of(values)) for name, figure in task.per_class.items()}
    names = facts.class_names if found else ()
    return {c: {name: float(x[i]) for name, x in found.items()} for i, c in enumerate(names)}


def score(task: Task, reported: Mapping[str, float]) -> float:
    """Returns what chooses the best checkpoint: more is better, and a NaN the worst."""
    value = reported[task.best]
    if task.best == "loss" or not task.figures[task.best].higher:
        value = -value
    return -math.inf if math.isnan(value) else value


def units(task: Task) -> dict[str, str]:
    """Returns the unit of the loss and of every figure, by name."""
    return {"loss": task.loss_unit} | {name: figure.unit for name, figure in task.figures.items()}


def shown(value: Any, unit: str) -> str:
    """Returns a value for people: "97.51 %" of a share, "4.127 years" of a number, a text."""
    if unit == "%":
        return f"{value:.2%}".replace("%", " %")
    if isinstance(value, float):
        value = f"{value:.4g}"
    return f"{value} {unit}".rstrip()


def check_targets(name: str, task: Task, dataset: Dataset) -> None:
    """Refuses a data set that does not hold what the task needs."""
    wanted = task.targets(dataset.facts)
    for split in (dataset.train, dataset.validation, dataset.test):
        for target, form in wanted.items():
            if target not in split.targets:
                held = ", ".join(split.targets) or "nothing"
                raise InputError(
                    f"{dataset.name} has no {target!r}, which the task {name} needs: besides images"
                    f" it holds {held}. Give another config.task or config.data.name"
                )
            array = split.targets[target]
            if not form.fits(array):
                raise InputError(
                    f"{target!r} of {dataset.name} is {array.dtype}{array.shape[1:]} per example; "
                    f"the task {name} needs {np.dtype(form.dtype)}{form.shape}"
                )
