"""The pictures of a report as image summaries, for those who look at runs in TensorBoard."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from cnnjax import panels
from cnnjax.explain import draw
from cnnjax.report import evidence, figures, mistakes, seen
from cnnjax.report.evidence import Evidence
from cnnjax.train.log import Events


def write(workdir: Path) -> None:
    """Writes an event file with pictures of a finished run, at its last step."""
    found = evidence.gather(workdir)
    for trouble in found.troubles:
        print(f"No pictures of it all: {trouble}")
    step = found.network.step if found.network is not None else 0
    events = Events(workdir, step)
    try:
        for tag, figure in drawn(found):
            events.image(tag, pixels(figure), step)
    finally:
        events.close()


def drawn(found: Evidence) -> Iterator[tuple[str, Figure]]:
    """Yields the tag and the figure of each picture."""
    for title, _, figure in seen.figures(found):
        yield f"seen/{title.partition(':')[0].lower().replace(' ', '_')}", figure
    judged = found.judged
    if judged is None or judged.logits is None:
        return
    predicted = judged.logits.argmax(1)
    names = found.class_names
    order = np.argsort(-judged.losses, kind="stable")
    worst = [int(i) for i in order if predicted[i] != judged.labels[i]][: mistakes.GALLERY]
    if worst:
        captions = [f"{names[judged.labels[i]]} as {names[predicted[i]]}" for i in worst]
        images = [np.asarray(judged.split.images[i]) for i in worst]
        title = f"{judged.name}: the worst mistakes by loss"
        yield "wrong/by_loss", draw.images(images, captions, min(8, len(worst)), title)
    matrix = figures.confusion(judged.labels, predicted, len(names))
    chosen = figures.most_confused(matrix, mistakes.MOST_CLASSES)
    yield "wrong/confusion", confusion(matrix[np.ix_(chosen, chosen)], [names[i] for i in chosen])


def confusion(matrix: np.ndarray, names: list[str]) -> Figure:
    """Draws a confusion matrix: rows are true, columns what they were taken for."""
    side = 1.6 + 0.45 * len(names)
    made, axes = panels.figure(1, 1, side + 0.6, side)
    errors = matrix * (1 - np.eye(len(names)))
    ax = axes[0, 0]
    ax.set_axis_on()
    ax.imshow(errors, cmap="Oranges", vmin=0, vmax=1.6 * max(errors.max(), 1))
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            ax.text(column, row, str(count), ha="center", va="center", fontsize=panels.SMALL)
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize=panels.SMALL)
    ax.set_yticks(range(len(names)), names, fontsize=panels.SMALL)
    ax.set_xlabel("taken for", fontsize=panels.SMALL)
    ax.set_ylabel("true", fontsize=panels.SMALL)
    return made


def pixels(figure: Figure) -> np.ndarray:
    """Returns a figure, on white, as uint8 (height, width, 3)."""
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor="white")
    with Image.open(out) as image:
        return np.asarray(image.convert("RGB"))
