"""Which class every pixel of an image shows.

A mask is (height, width) uint8, a class per pixel; pixels of `IGNORED` teach nothing and are not
counted. A network gives logits (height, width, classes).
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw

from cnnjax.augment import Moves
from cnnjax.data import IGNORED, Facts
from cnnjax.errors import InputError
from cnnjax.tasks.loss import cross_entropy
from cnnjax.tasks.task import Arrays, Figure, Finding, Target, Task, View

# Counts of pixels are kept in two parts, of which float32 adds up many exactly.
PART = 256
# How much of the class's colour lies over a picture.
OPACITY = 0.5


def counted_logits(outputs: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns the outputs, if there are logits for every pixel of the mask."""
    if outputs.ndim != 4 or outputs.shape[:3] != mask.shape:
        raise InputError(
            f"segmentation needs logits for each of {mask.shape[1:]} pixels, as unet_padded gives "
            f"them; this network gives {outputs.shape[1:]}"
        )
    return outputs


def loss(
    outputs: jax.Array,
    targets: Arrays,
    label_smoothing: float | jax.Array = 0.0,
    dice: float | jax.Array = 0.0,
) -> jax.Array:
    """Returns the mean cross entropy over an image's pixels, in nats, (batch,) float32.

    With `dice` times the soft Dice loss beside it (Milletari et al. 2016, arXiv 1606.04797,
    section 3): 1 less the mean over classes of `2 |P T| / (|P|^2 + |T|^2)`, with probabilities P
    and the truth T as zeros and ones; classes of which an image has none are left out.
    """
    mask = targets["mask"]
    logits = counted_logits(outputs, mask).astype(jnp.float32)
    batch, classes = len(mask), logits.shape[-1]
    logits = logits.reshape(batch, -1, classes)
    labels = mask.reshape(batch, -1).astype(jnp.int32)
    known = labels != IGNORED
    count = jnp.maximum(known.sum(1), 1)
    losses = cross_entropy(logits, jnp.where(known, labels, 0), label_smoothing)
    entropy = jnp.where(known, losses, 0).sum(1) / count
    truth = jax.nn.one_hot(labels, classes)  # zeros for what is ignored
    probability = jnp.where(known[..., None], jax.nn.softmax(logits), 0)
    both = (probability * truth).sum(1)
    either = (probability**2).sum(1) + truth.sum(1)
    there = truth.any(1)
    overlap = jnp.where(there, 2 * both / jnp.where(there, either, 1), 0).sum(1)
    return entropy + dice * (1 - overlap / jnp.maximum(there.sum(1), 1))


def measures(outputs: jax.Array, targets: Arrays) -> Arrays:
    """Returns how often each class was taken for each, (batch, 2, classes, classes + 1).

    The last column are pixels whose logits are no numbers. Of a count c the first part is c // 256,
    the second the rest.
    """
    mask = targets["mask"]
    logits = counted_logits(outputs, mask)
    classes = logits.shape[-1]
    finite = jnp.isfinite(logits).all(-1)
    found = jnp.where(finite, jnp.argmax(logits, -1), classes)
    truth = mask.astype(jnp.int32)
    place = jnp.where(truth == IGNORED, classes * (classes + 1), truth * (classes + 1) + found)
    place = place.reshape(len(mask), -1)
    counts = jax.vmap(lambda p: jnp.bincount(p, length=classes * (classes + 1)))(place)
    counts = counts.reshape(-1, classes, classes + 1)
    return {"confusion": jnp.stack([counts // PART, counts % PART], 1)}


def confusion(sums: Mapping[str, Any]) -> np.ndarray:
    """Returns the confusion matrix (classes, classes + 1) of sums: rows are the truth."""
    whole, rest = np.asarray(sums["confusion"], np.float64)
    return whole * PART + rest


def areas(sums: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns right, true and found pixels of every class."""
    matrix = confusion(sums)
    return np.diagonal(matrix), matrix.sum(1), matrix.sum(0)[:-1]


def ious(sums: Mapping[str, Any]) -> np.ndarray:
    """Returns intersection over union of every class; NaN where no pixel is or is found so."""
    right, true, found = areas(sums)
    return ratio(right, true + found - right)


def dices(sums: Mapping[str, Any]) -> np.ndarray:
    right, true, found = areas(sums)
    return ratio(2 * right, true + found)


def ratio(some: np.ndarray, all_: np.ndarray) -> np.ndarray:
    return np.where(all_ > 0, some / np.where(all_ > 0, all_, 1), np.nan)


def mean_of(values: Callable[[Mapping[str, Any]], np.ndarray]) -> Callable[[Any], float]:
    """Returns the mean over the classes that occur; 0 where none does."""

    def mean(sums: Mapping[str, Any]) -> float:
        known = values(sums)
        known = known[~np.isnan(known)]
        return float(known.mean()) if len(known) else 0.0

    return mean


def pixel_accuracy(sums: Mapping[str, Any]) -> float:
    right, true, _ = areas(sums)
    return float(right.sum() / max(true.sum(), 1))


def predict(outputs: jax.Array) -> dict[str, jax.Array]:
    """Returns the likeliest class of each pixel, and its probability."""
    probability = jax.nn.softmax(outputs.astype(jnp.float32))
    likeliest = jnp.argmax(probability, -1).astype(jnp.uint8)
    return {"class": likeliest, "probability": probability.max(-1)}


def place(prediction: Mapping[str, Any], view: View) -> dict[str, Any]:
    return {**prediction, "view": view}


def spread(values: np.ndarray, prediction: Mapping[str, Any], facts: Facts, fill: Any) -> Any:
    """Returns a map of the network's pixels in those of the picture; `fill` beyond what it saw."""
    height, width = facts.shape[:2]
    left, top, right, bottom = prediction["view"]
    rows, row_seen = looked_up(height, top, bottom, values.shape[0])
    columns, column_seen = looked_up(width, left, right, values.shape[1])
    seen = row_seen[:, None] & column_seen
    return np.where(seen, values[rows][:, columns], fill)


def looked_up(length: int, start: float, end: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns for each of `length` pixels the nearest of `count` that lie from start to end."""
    share = ((np.arange(length) + 0.5) / length - start) / (end - start)
    return np.clip((share * count).astype(int), 0, count - 1), (share >= 0) & (share < 1)


def findings(prediction: Mapping[str, Any], facts: Facts) -> list[Finding]:
    """Returns the classes of a picture, the largest first, with their shares of its area."""
    found = spread(prediction["class"], prediction, facts, IGNORED)
    probability = spread(prediction["probability"], prediction, facts, 0.0)
    rows = []
    for i, name in enumerate(facts.class_names):
        if (area := found == i).any():
            sure = float(probability[area].mean())
            rows.append({"class": name, "area": float(area.mean()), "probability": sure})
    return sorted(rows, key=lambda row: -row["area"])


def draw(picture: Image.Image, prediction: Any, facts: Facts) -> Image.Image:
    """Returns the picture with its classes in colours, and what they mean below."""
    found = spread(prediction["class"], prediction, facts, IGNORED)
    colours = np.array(class_colours(len(facts.class_names)), np.float32)
    pixels = np.asarray(picture.convert("RGB"), np.float32)
    over = (found > 0) & (found != IGNORED)  # the first class, the ground, is left as it is
    paint = colours[np.where(over, found, 0)]
    pixels = np.where(over[..., None], pixels * (1 - OPACITY) + paint * OPACITY, pixels)
    rows = [row["class"] for row in findings(prediction, facts)]
    rows = [name for name in rows if name != facts.class_names[0]]
    size = max(12, picture.height // 16)
    canvas = Image.new("RGB", (max(picture.width, 90), picture.height + (size + 4) * len(rows) + 4))
    canvas.paste(Image.fromarray(pixels.round().astype(np.uint8)), (0, 0))
    pencil = ImageDraw.Draw(canvas)
    for i, name in enumerate(rows):
        y = picture.height + 4 + i * (size + 4)
        colour = tuple(int(c) for c in colours[facts.class_names.index(name)])
        pencil.rectangle((2, y, 2 + size, y + size), fill=colour)
        pencil.text((size + 8, y), name, fill="white", font_size=size)
    return canvas


def class_colours(count: int) -> list[tuple[float, float, float]]:
    """Returns a colour of 0 to 255 per class; neighbours are far apart on the circle of hues."""
    golden = 0.618
    tints = (colorsys.hsv_to_rgb((0.03 + golden * i) % 1, 0.85, 1.0) for i in range(count))
    return [(255 * red, 255 * green, 255 * blue) for red, green, blue in tints]


def objects(prediction: Any, facts: Facts) -> np.ndarray:
    """Returns how sure each pixel of the picture is none of the first class, the ground."""
    sure = np.asarray(prediction["probability"], np.float32)
    share = np.where(prediction["class"] > 0, sure, 1 - sure)
    return spread(share, prediction, facts, 0.0)


TASK = Task(
    targets=lambda facts: {"mask": Target(facts.shape[:2], np.uint8)},
    outputs=lambda facts: len(facts.class_names),
    loss=loss,
    measures=measures,
    figures={
        "mean_iou": Figure(mean_of(ious)),
        "dice": Figure(mean_of(dices)),
        "pixel_accuracy": Figure(pixel_accuracy, "%"),
    },
    per_class={"iou": Figure(ious), "dice": Figure(dices)},
    best="mean_iou",
    predict=predict,
    place=place,
    findings=findings,
    finds="classes",
    top=IGNORED,
    columns={"class": "", "area": "%", "probability": "%"},
    draw=draw,
    objects=objects,
    loss_unit="nats",
    values=("label_smoothing", "dice"),
    moves={"mask": Moves("mask", fill=IGNORED)},
)
