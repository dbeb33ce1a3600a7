"""Pictures whose background is blurred or gone, by what a network says is no object."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageColor, ImageFilter

from cnnjax.errors import InputError
from cnnjax.evaluation.predict import Seen
from cnnjax.tasks import Task

TRANSPARENT = "transparent"
# Radii of blurring as shares of the longer side: of the background, and of the edge of objects.
BACKGROUND, EDGE = 1 / 40, 1 / 400


def check(task: Task, blur: str | None, colour: str | None) -> None:
    """Refuses what cannot be done, before any picture is read."""
    if blur is None and colour is None:
        return
    if task.objects is None:
        raise InputError("this network does not say where objects are: it needs a segmentation's")
    if blur is not None and colour is not None:
        raise InputError("--blur or --background, not both")
    if blur not in (None, "background"):
        raise InputError(f"--blur={blur!r}: what can be blurred is the background")
    if colour not in (None, TRANSPARENT):
        try:
            ImageColor.getrgb(colour)
        except ValueError:
            raise InputError(
                f"--background={colour!r} is no colour: give a name, #rrggbb or {TRANSPARENT}"
            ) from None


def portrait(task: Task, seen: Seen, colour: str | None = None) -> Image.Image:
    """Returns the picture with its background blurred, or of a colour; RGBA where transparent."""
    assert task.objects is not None
    sure = task.objects(seen.prediction, seen.facts)
    longer = max(sure.shape)
    hard = Image.fromarray(np.where(sure >= 0.5, 255, 0).astype(np.uint8))
    cover = np.asarray(hard.filter(ImageFilter.GaussianBlur(longer * EDGE)), np.float32) / 255
    pixels, cover = seen.pixels.astype(np.float32), cover[..., None]
    if colour == TRANSPARENT:
        alpha = (cover * 255).round().astype(np.uint8)
        return Image.fromarray(np.concatenate([seen.pixels, alpha], -1))
    if colour is not None:
        behind = np.array(ImageColor.getrgb(colour)[:3], np.float32)
    else:
        behind = blurred(pixels, 1 - cover, longer * BACKGROUND)
    mixed = cover * pixels + (1 - cover) * behind
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def blurred(pixels: np.ndarray, weight: np.ndarray, radius: float) -> np.ndarray:
    """Returns a Gaussian mean of the pixels that have weight, so that objects leave no shine."""

    from scipy import ndimage

    share = ndimage.gaussian_filter(weight[..., 0], radius)
    planes = [
        ndimage.gaussian_filter(plane, radius) for plane in np.moveaxis(pixels * weight, -1, 0)
    ]
    return np.stack(planes, -1) / np.maximum(share, 1e-3)[..., None]
