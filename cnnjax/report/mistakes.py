"""What a classifier gets wrong, with pictures; and the worst examples of any task."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import special

from cnnjax.evaluation import predict
from cnnjax.evaluation.trained import Trained
from cnnjax.report import figures, thumbnails
from cnnjax.report.evidence import Evidence, Judged, source_files

# Classes that a confusion matrix shows, pictures behind one of its cells, and in a gallery.
MOST_CLASSES, BEHIND, GALLERY = 16, 8, 24
DRAWN_SIDE = 192  # pixels a side, at least, of a picture that a task draws upon


def shown(
    names: tuple[str, ...], judged: Judged, i: int, row: np.ndarray, note: str = ""
) -> dict[str, Any]:
    """Returns a picture of example `i` with what is known of it; `row` are its probabilities."""
    files = source_files(judged.split)
    found = int(row.argmax())
    true = int(judged.labels[i])
    return {
        "uri": thumbnails.of_pixels(judged.split.images[i]),
        "true": names[true],
        "predicted": names[found],
        "sure": f"{100 * row[found]:.1f} %",
        "loss": f"{judged.losses[i]:.3g}",
        "place": int(judged.places[i]),
        "split": judged.name,
        "file": str(files[i]) if files is not None else "",
        "note": note,
    }


def confusion(evidence: Evidence, behind: int = BEHIND) -> dict[str, Any]:
    """Returns the confusion matrix of the classes that are confused most, a picture or more behind
    each cell that counts any."""
    judged = evidence.judged
    assert judged is not None and judged.logits is not None
    names, labels = evidence.class_names, judged.labels
    probabilities = special.softmax(judged.logits.astype(np.float64), 1)
    predicted = judged.logits.argmax(1)
    whole = figures.confusion(labels, predicted, len(names))
    chosen = figures.most_confused(whole, MOST_CLASSES)
    errors = whole * (1 - np.eye(len(names), dtype=np.int64))
    most = max(int(errors[np.ix_(chosen, chosen)].max()), 1)
    rows, cells = [], []
    for true in chosen:
        row = []
        for other in chosen:
            count = int(whole[true, other])
            members = np.flatnonzero((labels == true) & (predicted == other))
            # The errors that cost most, and the hits that cost most, too.
            order = members[np.argsort(-judged.losses[members], kind="stable")]
            right = true == other
            few = order[: behind // 2 if right else behind]
            pictures = [shown(names, judged, int(i), probabilities[i]) for i in few]
            cell = {
                "count": count,
                "right": right,
                "shade": 0 if right or not count else round(10 + 35 * (count / most) ** 0.5),
                "true": names[true],
                "other": names[other],
                "id": f"cell-{true}-{other}" if pictures else "",
                "pictures": pictures,
            }
            row.append(cell)
            cells.append(cell)
        rows.append({"name": names[true], "cells": row, "examples": int(whole[true].sum())})
    return {
        "names": [names[i] for i in chosen],
        "rows": rows,
        "cells": [cell for cell in cells if cell["pictures"]],
        "left": len(names) - len(chosen),
        "pairs": pairs(errors, names),
    }


def pairs(errors: np.ndarray, names: tuple[str, ...], most: int = 20) -> list[dict[str, Any]]:
    """Returns the confusions that happen most."""
    found = []
    totals = errors.sum(1)
    for flat in np.argsort(-errors, axis=None, kind="stable")[:most]:
        true, other = divmod(int(flat), len(names))
        if count := int(errors[true, other]):
            share = 100 * count / int(totals[true])
            found.append({"true": names[true], "other": names[other], "count": count,
                          "share": f"{share:.1f} %", "share_value": share})  # fmt: skip
    return found


def galleries(evidence: Evidence, most: int = GALLERY) -> list[dict[str, Any]]:
    """Returns the worst mistakes by loss, and the surest wrong ones, of a classifier."""
    judged = evidence.judged
    assert judged is not None and judged.logits is not None
    probabilities = special.softmax(judged.logits.astype(np.float64), 1)
    predicted = judged.logits.argmax(1)
    wrong = np.flatnonzero(predicted != judged.labels)
    sure = probabilities[wrong, predicted[wrong]]
    by_loss = wrong[np.argsort(-judged.losses[wrong], kind="stable")][:most]
    by_confidence = wrong[np.argsort(-sure, kind="stable")][:most]
    names = evidence.class_names
    return [
        {
            "title": title,
            "words": words,
            "id": name,
            "pictures": [shown(names, judged, int(i), probabilities[i]) for i in places],
        }
        for title, words, name, places in (
            ("Worst by loss", "The class that is right was thought least likely.", "by-loss",
             by_loss),
            ("Surest wrong", "The class that is wrong was thought most likely.", "by-confidence",
             by_confidence),
        )
    ]  # fmt: skip


def worst(evidence: Evidence, most: int = GALLERY) -> list[dict[str, Any]]:
    """Returns the examples of the largest loss, drawn as the task draws what it finds."""
    judged, network = evidence.judged, evidence.network
    assert judged is not None and network is not None
    places = np.argsort(-judged.losses, kind="stable")[: most // 2]
    images = [np.asarray(judged.split.images[int(i)]) for i in places]
    found = predict.predictions(network, images)
    return [
        {
            "uri": drawn(network, image, row_of(found, k)),
            "loss": f"{judged.losses[i]:.3g}",
            "place": int(judged.places[i]),
            "split": judged.name,
        }
        for k, (i, image) in enumerate(zip(places, images, strict=True))
    ]


def row_of(tree: Any, i: int) -> Any:
    import jax

    return jax.tree.map(lambda x: x[i], tree)


def drawn(network: Trained, image: np.ndarray, prediction: Any) -> str:
    """Returns the picture that a task makes of an image as the network saw it."""
    picture = thumbnails.picture(image)
    scale = max(1, -(-DRAWN_SIDE // max(picture.size)))
    picture = picture.resize((picture.width * scale, picture.height * scale))
    facts = dataclasses.replace(network.facts, shape=(picture.height, picture.width, 3))
    placed = network.task.place(prediction, (0.0, 0.0, 1.0, 1.0))
    return thumbnails.of_picture(network.task.draw(picture, placed, facts), 256)
