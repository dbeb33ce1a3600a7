"""Which objects an image shows, and the box around each.

A network says at each of many places how likely an object of each class has it within, how far its
box reaches to all sides, and how central the place is in it, as FCOS does (Tian et al. 2019, arXiv
1904.01355). Its outputs, n places, distances in units of the place's stride:

  logits (batch, n, classes); distances (batch, n, 4), left, top, right and bottom, above 0;
  centredness (batch, n), before a sigmoid; places (n, 2), x and y in shares of the image;
  strides (n, 2), of x and y in such shares; reaches (n, 2), the smallest (excluded) and the largest
  of the largest distance that a place is responsible for.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw

from cnnjax.augment import Moves
from cnnjax.data import Facts
from cnnjax.tasks import average_precision as precision
from cnnjax.tasks.boxes import area, giou
from cnnjax.tasks.suppression import surest
from cnnjax.tasks.task import Arrays, Figure, Finding, Gathers, Target, Task, View

# Lin et al. 2017 (arXiv 1708.02002), section 4.1: the focal loss.
ALPHA, GAMMA = 0.25, 2.0
# Places that learn to find an object lie within so many strides of its middle (FCOS's "center
# sampling", table 3 of its second version).
RADIUS = 1.5
# FCOS, section 4: scores looked at, how many of them, agreement above which one box goes, and how
# many stay. 1,000 candidates a level there; here of all levels together.
LEAST, CANDIDATES, THRESHOLD, MOST = 0.05, 400, 0.6, 100
# What is shown to people: COCO's figure counts unsure findings, too, and one place as several
# classes, which would hide the others.
SURE = 0.5


def boxes_of(outputs: Arrays) -> jax.Array:
    """Returns the box at each place, (batch, n, 4), in shares of the image, not cut."""
    places, strides = outputs["places"], outputs["strides"]
    distances = outputs["distances"] * jnp.concatenate([strides, strides], -1)[None]
    places = places[None]
    return jnp.concatenate([places - distances[..., :2], places + distances[..., 2:]], -1)


def assigned(outputs: Arrays, boxes: jax.Array, taught: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns which object each place of one image is to find, (n,), and its distances (n, 4).

    The object is -1 where there is none; where there are several, it is the smallest.

    Args:
      boxes: (objects, 4); taught: (objects,) bool, which of them there are to be found.
    """
    places, strides, reaches = (outputs[name] for name in ("places", "strides", "reaches"))
    low, high, places = boxes[None, :, :2], boxes[None, :, 2:], places[:, None]
    to_sides = jnp.concatenate([places - low, high - places], -1)
    distances = to_sides / jnp.concatenate([strides, strides], -1)[:, None]
    largest = distances.max(-1)
    off = jnp.abs(places - (low + high) / 2) / strides[:, None]
    responsible = (
        (distances.min(-1) > 0)
        & (off.max(-1) <= RADIUS)
        & (largest > reaches[:, :1])
        & (largest <= reaches[:, 1:])
        & taught[None]
    )
    sizes = jnp.where(responsible, area(boxes)[None], jnp.inf)
    chosen = jnp.argmin(sizes, 1)
    own = jnp.take_along_axis(distances, chosen[:, None, None], 1)[:, 0]
    return jnp.where(responsible.any(1), chosen, -1), own


def centred(distances: jax.Array) -> jax.Array:
    """Returns how central places are in a box, (...,), in [0, 1]: FCOS, equation 3."""
    sides = distances.reshape(*distances.shape[:-1], 2, 2)  # left, top; right, bottom
    share = sides.min(-2) / jnp.maximum(sides.max(-2), 1e-9)
    return jnp.sqrt(jnp.maximum(jnp.prod(share, axis=-1), 1e-9))


def focal(logits: jax.Array, wanted: jax.Array) -> jax.Array:
    """Returns the focal loss of each logit, in nats; `wanted` is 0 or 1."""
    crossed = jnp.where(wanted > 0, -jax.nn.log_sigmoid(logits), -jax.nn.log_sigmoid(-logits))
    surprise = jnp.where(wanted > 0, jax.nn.sigmoid(-logits), jax.nn.sigmoid(logits))
    weight = jnp.where(wanted > 0, ALPHA, 1 - ALPHA)
    return weight * surprise**GAMMA * crossed


def loss(outputs: Arrays, targets: Arrays) -> jax.Array:
    """Returns the losses of classes, boxes and centredness, each over the image's own places.

    FCOS divides by the places of a whole batch: then what an example costs would depend on the
    others, and on how many devices share the batch.
    """
    taught = (targets["labels"] >= 0) & ~targets["crowd"]
    chosen, distances = jax.vmap(partial(assigned, outputs))(targets["boxes"], taught)
    positive = chosen >= 0
    labels = jnp.take_along_axis(targets["labels"], jnp.maximum(chosen, 0), 1)
    wanted = jnp.arange(outputs["logits"].shape[-1])[None, None] == labels[..., None]
    classes = focal(outputs["logits"], wanted & positive[..., None])
    classes = jnp.where((positive | ~crowded(outputs, targets))[..., None], classes, 0)
    middle = jnp.where(positive, centred(distances), 0)
    strides = jnp.concatenate([outputs["strides"]] * 2, -1)[None]
    own, there = (jnp.where(positive[..., None], x, 1.0) for x in (outputs["distances"], distances))
    boxes = jnp.where(
        positive, middle * (1 - giou(around(own * strides), around(there * strides))), 0
    )
    entropy = jax.nn.softplus(outputs["centredness"]) - middle * outputs["centredness"]
    count = jnp.maximum(positive.sum(1), 1)
    # A box that is no number is not none: it must show.
    broken = ~jnp.isfinite(targets["boxes"]).all((1, 2))
    return (
        classes.sum((1, 2)) / count
        + boxes.sum(1) / jnp.maximum(middle.sum(1), 1e-6)
        + jnp.where(positive, entropy, 0).sum(1) / count
        + jnp.where(broken, jnp.nan, 0)
    )


def around(distances: jax.Array) -> jax.Array:
    """Returns boxes around the origin from distances to their sides."""
    return jnp.concatenate([-distances[..., :2], distances[..., 2:]], -1)


def crowded(outputs: Arrays, targets: Arrays) -> jax.Array:
    """Returns which places lie in a crowd, (batch, n): there may be an object, or not."""
    low, high = targets["boxes"][:, None, :, :2], targets["boxes"][:, None, :, 2:]
    places = outputs["places"][None, :, None]
    within = ((places > low) & (places < high)).all(-1)
    return (within & targets["crowd"][:, None]).any(-1)


def predict(outputs: Arrays) -> dict[str, jax.Array]:
    """Returns `boxes` (batch, most, 4) in shares, `labels`, -1 where there is none, and `scores`.

    A score is the root of probability times centredness: their product, as FCOS ranks, in a scale
    that people take for a probability.
    """
    scores = jnp.sqrt(
        jax.nn.sigmoid(outputs["logits"]) * jax.nn.sigmoid(outputs["centredness"])[..., None]
    )
    boxes = jnp.clip(boxes_of(outputs), 0, 1)
    stays = partial(surest, candidates=CANDIDATES, most=MOST, least=LEAST, threshold=THRESHOLD)
    return jax.vmap(stays)(scores, boxes)


def keep(outputs: Arrays, targets: Arrays) -> Arrays:
    """Returns what average precision needs of each example."""
    found = {f"found_{name}": x for name, x in predict(outputs).items()}
    # How many classes there are, in a form that travels with the examples.
    classes = jnp.full(len(outputs["logits"]), outputs["logits"].shape[-1])
    return {**found, **targets, "classes": classes}


def values(kept: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns average precisions of all examples, (areas, thresholds, classes)."""
    found, wanted = [], []
    for i, (height, width) in enumerate(kept["size"].astype(np.float64)):
        scale = np.array([width, height, width, height])
        there = kept["found_labels"][i] >= 0
        boxes = kept["found_boxes"][i][there] * scale
        labels, scores = kept["found_labels"][i][there], kept["found_scores"][i][there]
        found.append(precision.Found(boxes, labels, scores))
        there = kept["labels"][i] >= 0
        others = (kept[name][i][there] for name in ("labels", "crowd", "areas"))
        wanted.append(precision.Wanted(kept["boxes"][i][there] * scale, *others))
    classes = int(kept["classes"][0])
    return {"precision": precision.average_precision(found, wanted, classes, MOST)}


def mean_of(area: int, threshold: int | slice = slice(None)) -> Figure:
    """Returns the figure of the mean over thresholds and the classes that have an object.

    NaN where no class has one.
    """

    def of(values: Mapping[str, Any]) -> float:
        chosen = values["precision"][area, threshold]
        return float(np.nanmean(chosen)) if np.isfinite(chosen).any() else np.nan

    return Figure(of, gathered=True)


def place(prediction: Mapping[str, Any], view: View) -> dict[str, Any]:
    left, top, right, bottom = view
    corner, scale = np.array([left, top] * 2), np.array([right - left, bottom - top] * 2)
    return {**prediction, "boxes": corner + prediction["boxes"] * scale}


def findings(prediction: Mapping[str, Any], facts: Facts) -> list[Finding]:
    """Returns the objects with a score of at least `SURE`, their boxes in pixels.

    Of boxes that agree by more than `THRESHOLD`, whatever their classes, the surest alone.
    """
    height, width, _ = facts.shape
    boxes = np.clip(np.asarray(prediction["boxes"], np.float64), 0, 1) * ([width, height] * 2)
    labels, scores = prediction["labels"], prediction["scores"]
    chosen: list[int] = []
    for i in np.flatnonzero((labels >= 0) & (scores >= SURE)):
        alike = precision.agreement(boxes[i : i + 1], boxes[chosen], np.zeros(len(chosen), bool))
        if not (alike > THRESHOLD).any():
            chosen.append(int(i))
    return [
        {
            "class": facts.class_names[labels[i]],
            "score": float(scores[i]),
            "box": [round(float(x), 1) for x in boxes[i]],
        }
        for i in chosen
    ]


def draw(picture: Image.Image, prediction: Any, facts: Facts) -> Image.Image:
    """Returns the picture with the boxes upon it, each with its class, in the colour of that."""
    picture = picture.convert("RGB")
    pencil, short = ImageDraw.Draw(picture), min(picture.size)
    line, size = max(1, round(short / 200)), max(10, round(short / 30))
    # The surest last, so that it is not covered.
    for found in reversed(findings(prediction, facts)):
        colour = colour_of(facts.class_names.index(found["class"]))
        left, top, right, bottom = found["box"]
        corner = min(right, picture.width - 1), min(bottom, picture.height - 1)
        pencil.rectangle(((left, top), corner), outline=colour, width=line)
        text = f"{found['class']} {found['score']:.2f}"
        area = pencil.textbbox((left, top), text, font_size=size, anchor="lb")
        # Above the box, or within it where the picture ends.
        shift = max(0, -area[1])
        place = (left + max(0, -area[0]), top + shift)
        area = pencil.textbbox(place, text, font_size=size, anchor="lb")
        pencil.rectangle(area, fill=colour)
        pencil.text(place, text, fill="black", font_size=size, anchor="lb")
    return picture


def colour_of(label: int) -> tuple[int, int, int]:
    """Returns a bright colour; those of neighbouring classes are far apart."""
    red, green, blue = colorsys.hsv_to_rgb(label * 0.381966 % 1, 0.75, 1)  # the golden angle
    return round(red * 255), round(green * 255), round(blue * 255)


def targets(facts: Facts) -> dict[str, Target]:
    del facts
    return {
        "boxes": Target((None, 4), np.float32),
        "labels": Target((None,), np.int32),
        "crowd": Target((None,), np.bool_),
        "areas": Target((None,), np.float32),
        "size": Target((2,), np.float32),
    }


AT_50, AT_75 = 0, 5
TASK = Task(
    targets=targets,
    outputs=lambda facts: len(facts.class_names),
    loss=loss,
    measures=lambda outputs, targets: {},
    gathers=Gathers(keep, values),
    figures={
        "map": mean_of(precision.ALL),
        "map50": mean_of(precision.ALL, AT_50),
        "map75": mean_of(precision.ALL, AT_75),
        "map_small": mean_of(precision.SMALL),
        "map_medium": mean_of(precision.MEDIUM),
        "map_large": mean_of(precision.LARGE),
    },
    per_class={
        "ap": Figure(lambda values: values["precision"][precision.ALL].mean(0), gathered=True),
        "ap50": Figure(lambda values: values["precision"][precision.ALL, AT_50], gathered=True),
    },
    best="map",
    predict=predict,
    place=place,
    findings=findings,
    finds="objects",
    top=MOST,
    columns={"class": "", "score": "", "box": ""},
    draw=draw,
    moves={"boxes": Moves("boxes")},
)
