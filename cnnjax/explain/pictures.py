"""From a trained network and images to picture files: what `experiments.explain` does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from cnnjax import data
from cnnjax.errors import InputError, nearest
from cnnjax.evaluation import predict, trained
from cnnjax.evaluation.trained import Trained
from cnnjax.explain import animate, draw, methods, sanity, sheets
from cnnjax.explain.methods import METHODS, Question
from cnnjax.structure import graph as graphs
from cnnjax.tasks import TASKS

# Images of the test split among which units look for what excites them.
MOST_IMAGES = 2000


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """An image to explain.

    Attributes:
      name: for the picture's file; pixels: uint8 (height, width, channels); true: its class, if
        that is known.
    """

    name: str
    pixels: np.ndarray
    true: str | None = None


def subjects(network: Trained, files: Sequence[Path], count: int, invert: bool) -> list[Subject]:
    """Returns the images of files, or the first `count` of the test split."""
    if not files:
        split = test_split(network)
        names = network.class_names
        return [
            Subject(f"test{i}", split.images[i], names[int(split.targets["label"][i])])
            for i in range(min(count, len(split)))
        ]
    found, taken = [], set[str]()
    for file in files:
        name = predict.unique(file.stem, taken)
        found.append(Subject(name, predict.read_image(file, network.preprocessing, invert)))
    return found


def test_split(network: Trained) -> data.Split:
    """Returns the test split that the network has not been trained on."""
    dataset = trained.stored_data(network.config)
    trained.check_data(network, dataset)
    return dataset.test


def drawn(
    network: Trained,
    method: str,
    images: Sequence[Subject],
    folder: Path,
    layer: str | None = None,
    asked: str | None = None,
    seed: int = 0,
    check: bool = True,
) -> Iterator[str]:
    """Draws a method's pictures into `folder`; yields what to print: files, and what was assumed.

    Raises InputError for a layer, a class or a method that does not exist, before anything is
    computed.
    """
    if method in METHODS and network.task is not TASKS["classification"]:
        raise InputError(
            f"{method} explains the score of a class, and this run has another task: "
            f"its layers are shown by {', '.join(sorted(SHEETS))}"
        )
    question = methods.question(
        network.module, network.variables, network.preprocess, network.shape,
        layer if (method in METHODS and METHODS[method].layered) or method in BY_LAYER else None,
    )  # fmt: skip
    if asked is not None and asked not in network.class_names:
        raise InputError(f"the network has no class {asked!r}{nearest(asked, network.class_names)}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}") from None
    if method in METHODS:
        yield from heated(network, question, method, images, folder, asked, seed, check)
        return
    key = jax.random.key(seed)
    for name, figure in SHEETS[method](network, question, images, layer, key):
        if isinstance(figure, Figure):
            file = folder / f"{name}_{method}.png"
            figure.savefig(file, facecolor="white")
        else:
            file = folder / f"{name}_{method}.gif"
            animate.save(figure, str(file))
        yield str(file)


def heated(
    network: Trained, question: Question, name: str, images: Sequence[Subject], folder: Path,
    asked: str | None, seed: int, check: bool,
) -> Iterator[str]:  # fmt: skip
    """Draws the heat of each image; yields lines."""
    method = METHODS[name]
    yield f"{method.title}. {method.note}"
    if method.layered:
        yield f"layer: {question.layer}"
    if name == "guided_backpropagation" and not question.graph.rectifiers:
        raise InputError("the network has no ReLU, so that guided backpropagation is the gradient")
    answer = methods.asked(method, question)
    rows = predict.predictions(network, [image.pixels for image in images])
    key = jax.random.key(seed)
    for image, row in zip(images, rows, strict=True):
        predicted = int(row.argmax())
        label = network.class_names.index(asked) if asked is not None else predicted
        heat, figures = answer(network.variables, image.pixels, label, key)
        title = f"predicted: {network.class_names[predicted]} ({100 * row[predicted]:.1f} %)"
        title += f", true: {image.true}" if image.true is not None else ""
        title += f"; explained: {network.class_names[label]}" if label != predicted else ""
        caption = method.title + (f", layer {question.layer}" if method.layered else "")
        facts = "".join(f"; {what} {value:.4g}" for what, value in figures.items())
        if check:
            alike = sanity.dependence(
                lambda variables, image=image, label=label: answer(
                    variables, image.pixels, label, key
                )[0],
                network.variables,
                seed,
            )
            same = f"rank correlation {alike:.2f}" if alike == alike else "no heat at all"
            facts += f"; with random weights: {same}"
        file = folder / f"{image.name}_{name}.png"
        draw.heat(image.pixels, heat, title, caption + facts, method.signed).savefig(
            file, facecolor="white"
        )
        yield f"{file}: {title}{facts}"


def one_each(make: Any):
    """Returns a sheet of every image, from a function of one."""

    def sheet(network, question, images, layer, key):
        for image in images:
            yield image.name, make(network, question, image, layer)

    return sheet


def filters(network, question, images, layer, key):
    yield "network", sheets.filters(question, network.variables, layer)


def maps(network: Trained, question: Question, image: Subject, layer: str | None) -> Figure:
    return sheets.maps(question, network.variables, image.pixels)


def triptych(network: Trained, question: Question, image: Subject, layer: str | None) -> Figure:
    return sheets.triptych(question, network.variables, image.pixels, layer)


def journey(network: Trained, question: Question, image: Subject, layer: str | None) -> Figure:
    title = f"{image.name} through {network.name}"
    return sheets.journey(question, network.variables, image.pixels, title)


def patches(network, question, images, layer, key):
    pixels = test_split(network).images[:MOST_IMAGES]
    for name in sheets.hierarchy(question, layer):
        yield name.replace("/", "_"), sheets.patches(question, network.variables, pixels, name)


def optimised(network, question, images, layer, key):
    for name in sheets.hierarchy(question, layer):
        yield name.replace("/", "_"), sheets.optimised(question, network.variables, name, key)


def animation(network, question, images, layer, key):
    """Yields one animation of a layer, by default the first, over the first image."""
    graph = question.graph
    name = graphs.find(graph, graph.spatial[0] if layer is None else layer, graph.spatial)
    below = animate.source(graph, name)
    reaches = animate.windows(graph, name, below)
    if reaches is None:
        raise InputError(f"a place of {name} sees all of the image: there is no window to show")
    image = images[0]
    values = sheets.looked_at(
        question, network.variables, image.pixels, [name] + ([below] if below else [])
    )
    unit = int(np.abs(values[name]).mean((0, 1)).argmax())
    pixels = draw.shown(image.pixels)
    under = pixels if below is None else values[below][..., min(unit, values[below].shape[-1] - 1)]
    caption = f"{below or 'image'} -> {name}, map {unit}"
    yield image.name, list(animate.frames(under, values[name][..., unit], reaches, caption))


# Methods of a layer that has places, the last by default.
BY_LAYER = ("maps",)
SHEETS = {
    "animation": animation,
    "filters": filters,
    "journey": one_each(journey),
    "maps": one_each(maps),
    "optimised": optimised,
    "patches": patches,
    "triptych": one_each(triptych),
}
