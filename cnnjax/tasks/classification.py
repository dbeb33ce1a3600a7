"""Which of several classes an image shows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw

from cnnjax.data import Facts
from cnnjax.tasks.loss import cross_entropy
from cnnjax.tasks.task import Arrays, Figure, Finding, Target, Task


def loss(logits: jax.Array, targets: Arrays, label_smoothing: float | jax.Array = 0.0) -> jax.Array:
    return cross_entropy(logits, targets["label"], label_smoothing)


def measures(logits: jax.Array, targets: Arrays) -> Arrays:
    """Returns whether each example is right; a logit that is not a number makes it wrong."""
    right = (jnp.argmax(logits, axis=1) == targets["label"]) & jnp.isfinite(logits).all(axis=1)
    return {"correct": right}


def findings(probabilities: np.ndarray, facts: Facts) -> list[Finding]:
    """Returns every class with its probability, the likeliest first."""
    order = np.argsort(-probabilities, kind="stable")
    return [{"class": facts.class_names[i], "probability": float(probabilities[i])} for i in order]


def draw(picture: Image.Image, probabilities: Any, facts: Facts) -> Image.Image:
    """Returns the picture with the likeliest class and its probability below."""
    best = findings(probabilities, facts)[0]
    text = f"{best['class']} {100 * best['probability']:.0f} %"
    size = max(12, picture.height // 12)
    left, _, right, _ = ImageDraw.Draw(picture).textbbox((0, 0), text, font_size=size)
    canvas = Image.new(
        "RGB", (max(picture.width, int(right - left) + 4), picture.height + size + 8)
    )
    canvas.paste(picture, (0, 0))
    pencil = ImageDraw.Draw(canvas)
    pencil.text((2, picture.height + 2), text, fill="white", font_size=size)
    return canvas


TASK = Task(
    targets=lambda facts: {"label": Target((), np.int32)},
    outputs=lambda facts: len(facts.class_names),
    loss=loss,
    measures=measures,
    figures={"accuracy": Figure(lambda sums: sums["correct"] / sums["count"], "%")},
    best="accuracy",
    predict=jax.nn.softmax,
    findings=findings,
    finds="classes",
    columns={"class": "", "probability": "%"},
    draw=draw,
    loss_unit="nats",
    values=("label_smoothing",),
    mixes=("cutmix", "mixup"),
    stratify="label",
)
