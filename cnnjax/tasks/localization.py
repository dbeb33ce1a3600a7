"""Which of several classes an image shows, and the box around it: one object per image.

A network gives four outputs more than classes: centre and size of the box (the regressor beside the
classifier of OverFeat, Sermanet et al. 2013, arXiv 1312.6229, section 4.1). One that averages over
all places before its head, as ResNets do, knows little of where things are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw

from cnnjax.augment import Moves
from cnnjax.data import Facts
from cnnjax.tasks import classification
from cnnjax.tasks.boxes import area, from_logits, giou, iou
from cnnjax.tasks.loss import cross_entropy
from cnnjax.tasks.task import Arrays, Figure, Finding, Target, Task, View

# Carion et al. 2020 (arXiv 2005.12872), appendix A.4: what distances and generalised IoU weigh.
DISTANCE_WEIGHT, GIOU_WEIGHT = 5.0, 2.0
# The share of agreement from which on a box is right.
ENOUGH = 0.5


def loss(
    outputs: jax.Array, targets: Arrays, label_smoothing: float | jax.Array = 0.0
) -> jax.Array:
    """Returns the cross entropy, in nats, and the weighted errors of the box, if there is one."""
    box, wanted = from_logits(outputs[:, -4:]), targets["box"]
    distance = jnp.abs(box - wanted).sum(-1)
    error = DISTANCE_WEIGHT * distance + GIOU_WEIGHT * (1 - giou(box, wanted))
    classes = cross_entropy(outputs[:, :-4], targets["label"], label_smoothing)
    # A box that is no number is not none: it must show.
    return classes + jnp.where(area(wanted) == 0, 0, error)


def measures(outputs: jax.Array, targets: Arrays) -> Arrays:
    right = classification.measures(outputs[:, :-4], targets)["correct"]
    agreement = iou(predict(outputs)["box"], targets["box"])
    # A box that is no number agrees with nothing.
    agreement = jnp.where(jnp.isfinite(agreement), agreement, 0)
    return {"correct": right, "iou": agreement, "localized": right & (agreement >= ENOUGH)}


def predict(outputs: jax.Array) -> dict[str, jax.Array]:
    boxes = jnp.clip(from_logits(outputs[:, -4:]), 0, 1)
    return {"probability": jax.nn.softmax(outputs[:, :-4]), "box": boxes}


def place(prediction: Mapping[str, Any], view: View) -> dict[str, Any]:
    left, top, right, bottom = view
    scale = np.array([right - left, bottom - top] * 2)
    return {**prediction, "box": np.array([left, top] * 2) + prediction["box"] * scale}


def findings(prediction: Mapping[str, Any], facts: Facts) -> list[Finding]:
    """Returns the likeliest class and its box, in pixels."""
    best = classification.findings(prediction["probability"], facts)[0]
    height, width, _ = facts.shape
    box = prediction["box"] * np.array([width, height] * 2)
    return [{**best, "box": [round(float(x), 1) for x in box]}]


def draw(picture: Image.Image, prediction: Any, facts: Facts) -> Image.Image:
    """Returns the picture with the box upon it, and the class below."""
    box = findings(prediction, facts)[0]["box"]
    picture = picture.copy()
    line = max(1, round(min(picture.size) / 100))
    ImageDraw.Draw(picture).rectangle(box, outline=(255, 80, 0), width=line)
    return classification.draw(picture, prediction["probability"], facts)


TASK = Task(
    targets=lambda facts: {"label": Target((), np.int32), "box": Target((4,), np.float32)},
    outputs=lambda facts: len(facts.class_names) + 4,
    loss=loss,
    measures=measures,
    figures={
        "localized": Figure(lambda sums: sums["localized"] / sums["count"], "%"),
        "mean_iou": Figure(lambda sums: sums["iou"] / sums["count"]),
        "accuracy": Figure(lambda sums: sums["correct"] / sums["count"], "%"),
    },
    best="localized",
    predict=predict,
    place=place,
    findings=findings,
    finds="objects",
    columns={"class": "", "probability": "%", "box": ""},
    draw=draw,
    values=("label_smoothing",),
    moves={"box": Moves("boxes")},
    stratify="label",
)
