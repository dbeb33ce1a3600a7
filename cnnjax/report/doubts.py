"""What is doubtful about the data themselves: labels, copies, slices; for the page of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from cnnjax.data import Files
from cnnjax.report import duplicates, slices, suspects, thumbnails
from cnnjax.report.evidence import Evidence, source_files
from cnnjax.report.mistakes import shown

SUSPECTS_SHOWN, COPIES_SHOWN, SLICES_SHOWN = 48, 12, 20
# Labels that are shown at least, suspected or not.
RANKED = 12
# Training images that are compared with those of the test.
COMPARED = 100_000


def wrong_labels(evidence: Evidence, most: int = SUSPECTS_SHOWN) -> dict[str, Any] | None:
    """Returns the suspected labels of all splits that the network has not learnt from."""
    held = [one for one in evidence.held if one.logits is not None]
    if not held:
        return None
    logits = np.concatenate([one.logits for one in held if one.logits is not None])
    labels = np.concatenate([one.labels for one in held])
    probabilities = special.softmax(logits.astype(np.float64), 1)
    found = suspects.suspects(probabilities, labels)
    names, pictures = evidence.class_names, []
    starts = np.cumsum([0, *(len(one.split) for one in held)])
    for k in range(min(most, len(labels), max(found.count, RANKED))):
        place = int(found.places[k])
        which = int(np.searchsorted(starts, place, "right")) - 1
        picture = shown(
            names, held[which], place - int(starts[which]), probabilities[place],
            f"margin {found.margin[k]:.2f}",
        )  # fmt: skip
        likely = names[int(found.classes[k])]
        pictures.append(picture | {"likely": likely, "suspected": k < found.count})
    return {
        "count": found.count,
        "looked": len(labels),
        "splits": " and ".join(one.name for one in held),
        "pictures": pictures,
    }


def copies(evidence: Evidence, most: int = COPIES_SHOWN) -> dict[str, Any] | None:
    """Returns the images of the judged split that look like images of the training."""
    judged, dataset = evidence.judged, evidence.dataset
    if judged is None or dataset is None:
        return None
    train = dataset.train
    places = np.arange(len(train))
    if isinstance(train.images, Files) or len(train) > COMPARED:
        places = np.unique(np.linspace(0, len(train) - 1, min(len(train), 10_000)).astype(int))
    # Those on disk stay there, but for the part at hand.
    learnt, tested = train.images.take(places, axis=0), judged.split.images
    found = duplicates.near_duplicates(learnt, tested)
    files = source_files(train), source_files(judged.split)
    pictures = [
        {
            "train": thumbnails.of_pixels(learnt[pair.train]),
            "test": thumbnails.of_pixels(tested[pair.test]),
            "train_place": int(places[pair.train]),
            "test_place": int(judged.places[pair.test]),
            "train_label": label(evidence, train, int(places[pair.train])),
            "test_label": label(evidence, judged.split, pair.test),
            "train_file": str(files[0][places[pair.train]]) if files[0] is not None else "",
            "test_file": str(files[1][pair.test]) if files[1] is not None else "",
            "correlation": "equal" if pair.equal else f"{pair.correlation:.4f}",
        }
        for pair in found[:most]
    ]
    return {
        "count": len({pair.test for pair in found}),
        "equal": len({pair.test for pair in found if pair.equal}),
        "train": len(learnt),
        "tested": len(tested),
        "split": judged.name,
        "pictures": pictures,
    }


def label(evidence: Evidence, split: Any, i: int) -> str:
    if "label" not in split.targets or not evidence.class_names:
        return ""
    return evidence.class_names[int(split.targets["label"][i])]


def worst_slices(evidence: Evidence, most: int = SLICES_SHOWN) -> dict[str, Any] | None:
    """Returns the slices of the judged split, the worst on top."""
    judged = evidence.judged
    if judged is None:
        return None
    errors = judged.logits is not None
    against = judged.logits.argmax(1) != judged.labels if judged.logits is not None else (
        judged.losses.astype(np.float64)
    )  # fmt: skip
    measures = slices.measured(judged.split.images)
    named: dict[str, Any] = {}
    if "label" in judged.split.targets:
        named["class"] = (judged.labels, evidence.class_names)
    files = source_files(judged.split)
    if files is not None:
        measures["size in pixels"] = sizes(files)
        named["folder"] = slices.folders(files)
    found = slices.worst(against, measures, named)

    def text(value: float) -> str:
        return f"{100 * value:.2f} %" if errors else f"{value:.4g}"

    rows = [
        {
            "by": one.by,
            "name": one.name,
            "count": one.count,
            "mean": text(one.mean),
            "mean_value": one.mean,
            "interval": f"{text(one.low)} to {text(one.high)}",
            "rest": text(one.rest),
            "rest_value": one.rest,
            "worse": one.low > one.rest,
        }
        for one in found[:most]
    ]
    return {"what": "errors" if errors else "loss", "rows": rows, "split": judged.name,
            "left": len(found) - len(rows)}  # fmt: skip


def sizes(files: Any) -> np.ndarray:
    """Returns height times width of image files, from their headers."""
    from cnnjax.images.examine import header

    found = [header(file) for file in files]
    return np.array([float(height * width) for _, height, width in found])
