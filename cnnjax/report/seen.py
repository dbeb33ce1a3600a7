"""What the network of a run sees, as pictures for its page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from cnnjax.errors import InputError
from cnnjax.explain import draw, methods, sheets
from cnnjax.explain.methods import METHODS
from cnnjax.report import thumbnails
from cnnjax.report.evidence import Evidence

# Mistakes whose heat is shown.
HEATED = 3


def figures(evidence: Evidence, heated: int = HEATED) -> Iterator[tuple[str, str, Figure]]:
    """Yields title, a sentence and a figure of what a network sees.

    A network without convolutions, or of another task, has fewer of them.
    """
    network, judged = evidence.network, evidence.judged
    if network is None:
        return
    try:
        question = methods.question(
            network.module, network.variables, network.preprocess, network.shape
        )
    except InputError:
        return  # no layer has places
    yield from made(
        "Filters",
        "What the first convolution looks for.",
        lambda: sheets.filters(question, network.variables, None),
    )
    if judged is None:
        return
    pixels = np.asarray(judged.split.images[0])
    name = f"{judged.name} image {int(judged.places[0])}"
    yield from made(
        "Through the network",
        f"What the layers make of {name}, from the first to the last that has places.",
        lambda: sheets.journey(question, network.variables, pixels, name),
    )
    yield from made(
        "Feature maps",
        f"All maps of {question.layer}, the last layer with places, for {name}.",
        lambda: sheets.maps(question, network.variables, pixels),
    )
    if judged.logits is not None:
        yield from heats(evidence, question, heated)


def made(title: str, words: str, make: Callable[[], Figure]) -> Iterator[tuple[str, str, Figure]]:
    """Yields a figure, unless the network has nothing to draw it from."""
    try:
        yield title, words, make()
    except InputError:
        return


def heats(
    evidence: Evidence, question: methods.Question, count: int
) -> Iterator[tuple[str, str, Figure]]:
    """Yields where Grad-CAM sees the predicted class, in the mistakes of the largest loss."""
    network, judged = evidence.network, evidence.judged
    assert network is not None and judged is not None and judged.logits is not None
    predicted = judged.logits.argmax(1)
    wrong = predicted != judged.labels
    order = np.lexsort((-judged.losses, ~wrong))[:count]
    answer = methods.asked(METHODS["grad_cam"], question)
    for i in order:
        pixels = np.asarray(judged.split.images[int(i)])
        heat, _ = answer(network.variables, pixels, int(predicted[i]), jax.random.key(0))
        names = evidence.class_names
        title = f"predicted: {names[int(predicted[i])]}, true: {names[int(judged.labels[i])]}"
        caption = f"{METHODS['grad_cam'].title}, layer {question.layer}"
        words = f"Where {question.layer} speaks for the predicted class, in {judged.name} image "
        words += f"{int(judged.places[i])}."
        yield f"Grad-CAM: {title}", words, draw.heat(pixels, heat, title, caption, False)


def pictures(evidence: Evidence, heated: int = HEATED) -> list[dict[str, Any]]:
    """Returns the same as data URIs."""
    return [
        {"title": title, "words": words, "uri": thumbnails.of_figure(figure)}
        for title, words, figure in figures(evidence, heated)
    ]
