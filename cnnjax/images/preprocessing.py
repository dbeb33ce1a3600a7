"""What a network expects of an image, as a record that travels with its weights.

Training, evaluation, prediction and export take the same functions with the same record, so that an
image is seen by all in one way.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from cnnjax import fields
from cnnjax.errors import InputError, nearest
from cnnjax.images.read import WHITE, read

RESIZE = ("squash", "crop", "pad")
INTERPOLATION = {
    name: Image.Resampling[name.upper()]
    for name in ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
}
ORDERS = ("rgb", "bgr")
LONGEST = 16_384


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """From an image file to the input of a network; checked when it is made.

    Attributes:
      size: height and width in pixels; (0, 0) leaves images as they are.
      resize: squash: to `size`, whatever the proportions; crop: the shorter side to the size over
        `crop_fraction`, then the centre; pad: the longer side to the size, on `background`.
      crop_fraction: in (0, 1], the share of the resized image that the centre crop keeps: 0.875
        is 224 of 256 pixels.
      interpolation: of Pillow, which smooths what it makes smaller; a name in `INTERPOLATION`.
      channels: 1 grey, 3 colour, 4 colour and opacity; others only for images in arrays.
      order: rgb, or bgr as OpenCV and Caffe have it.
      scale: what pixels in [0, 255] are multiplied by.
      mean, std: per channel of the network's input, or one for all: (pixels * scale - mean) / std.
      exif: turn images as their EXIF orientation says.
      background: RGB, what transparent pixels lie on.
    """

    size: tuple[int, ...] = (224, 224)
    resize: str = "squash"
    crop_fraction: float = 1.0
    interpolation: str = "bilinear"
    channels: int = 3
    order: str = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    exif: bool = True
    background: tuple[int, ...] = WHITE

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = fields.matching(
                f"preprocessing.{field.name}", getattr(self, field.name), field.default
            )
            object.__setattr__(self, field.name, value)
        for name, known in (
            ("resize", RESIZE),
            ("interpolation", INTERPOLATION),
            ("order", ORDERS),
        ):
            if (value := getattr(self, name)) not in known:
                raise InputError(f"preprocessing.{name} is {value!r}{nearest(value, known)}")
        problem = self.problem()
        if problem:
            raise InputError(f"preprocessing.{problem}")

    def problem(self) -> str:
        """Returns what is out of range, or nothing."""
        if len(self.size) != 2 or not all(0 <= side <= LONGEST for side in self.size):
            return f"size must be height and width, 0 to {LONGEST}; given {self.size}"
        if 0 in self.size and self.size != (0, 0):
            return f"size must be two numbers above 0, or (0, 0); given {self.size}"
        if not 0 < self.crop_fraction <= 1:
            return f"crop_fraction must lie in (0, 1]; given {self.crop_fraction!r}"
        if self.channels < 1:
            return f"channels must be 1 or more; given {self.channels}"
        if self.order == "bgr" and self.channels != 3:
            return f"order is bgr, which needs 3 channels; given {self.channels}"
        if not (math.isfinite(self.scale) and self.scale > 0):
            return f"scale must be above 0; given {self.scale!r}"
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels) or not all(map(math.isfinite, values)):
                return f"{name} must be 1 or {self.channels} numbers; given {values!r}"
        if not all(value > 0 for value in self.std):
            return f"std must be above 0; given {self.std!r}"
        if len(self.background) != 3 or not all(0 <= value <= 255 for value in self.background):
            return f"background must be three numbers from 0 to 255; given {self.background!r}"
        return ""


def as_json(record: Preprocessing) -> str:
    """Returns the record as one JSON object, from which `from_json` makes its equal."""
    return json.dumps(dataclasses.asdict(record))


def from_json(text: str | Mapping[str, Any]) -> Preprocessing:
    """Returns the record of a JSON object, or of what was read from one; else InputError."""
    text = fields.json_object(text, "the preprocessing")
    known = fields.defaults(Preprocessing)
    return Preprocessing(**fields.checked("preprocessing", text, known))


def load(source: Path | str | bytes, record: Preprocessing, name: str = "") -> np.ndarray:
    """Returns an image file as uint8 (height, width, channels), read and resized as `record` says.

    Raises InputError, which names the file.
    """
    background: Any = record.background
    pixels = read(source, record.channels, name=name, background=background, exif=record.exif)
    return resized(pixels, record)


def resized(pixels: np.ndarray, record: Preprocessing) -> np.ndarray:
    """Returns uint8 pixels (height, width, channels) of the record's size.

    As torchvision's Resize and CenterCrop do on Pillow's images, and as Keras' load_img does
    (squash).
    """
    height, width = record.size
    if record.size == (0, 0):
        return pixels
    if record.resize == "squash":
        return scaled(pixels, (height, width), record.interpolation)
    rows, columns = pixels.shape[:2]
    if record.resize == "pad":
        ratio = min(height / rows, width / columns)
        inner = max(1, round(rows * ratio)), max(1, round(columns * ratio))
        return laid(scaled(pixels, inner, record.interpolation), record)
    # The small summand: 64 / (64 / 93) is a little less than 93.
    least = [math.floor(side / record.crop_fraction + 1e-6) for side in (height, width)]
    ratio = max(least[0] / rows, least[1] / columns)
    if least[0] / rows >= least[1] / columns:
        outer = least[0], max(width, int(least[0] * columns / rows))
    else:
        outer = max(height, int(least[1] * rows / columns)), least[1]
    pixels = scaled(pixels, outer, record.interpolation)
    top, left = round((outer[0] - height) / 2), round((outer[1] - width) / 2)
    return pixels[top : top + height, left : left + width]


def view(picture: tuple[int, int], record: Preprocessing) -> tuple[float, float, float, float]:
    """Returns what of a picture (height, width) the network sees, in shares of the picture.

    Left, top, right and bottom; outside of 0 to 1 where it sees the background that pads.
    """
    height, width = record.size
    if record.resize == "squash" or record.size == (0, 0):
        return 0.0, 0.0, 1.0, 1.0
    ratio = (picture[1] / picture[0]) / (width / height)
    if record.resize == "crop":
        wide, high = min(1, 1 / ratio) * record.crop_fraction, min(1, ratio) * record.crop_fraction
    else:
        wide, high = max(1, 1 / ratio), max(1, ratio)
    return (1 - wide) / 2, (1 - high) / 2, (1 + wide) / 2, (1 + high) / 2


def scaled(pixels: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Returns the pixels resized to (height, width), each channel by itself."""
    if pixels.shape[:2] == size:
        return pixels
    rule = INTERPOLATION[interpolation]
    if pixels.shape[-1] == 3:
        return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), rule))
    planes = [Image.fromarray(plane) for plane in np.moveaxis(pixels, -1, 0)]
    return np.stack(
        [np.asarray(plane.resize((size[1], size[0]), rule)) for plane in planes], axis=-1
    )


def laid(pixels: np.ndarray, record: Preprocessing) -> np.ndarray:
    """Returns the pixels in the middle of the record's size, on its background."""
    (height, width), channels = record.size, pixels.shape[-1]
    red, green, blue = record.background
    # Pillow's weights of grey; other numbers of channels have no colour to name.
    grey = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    colour = {3: record.background, 4: (*record.background, 255)}.get(channels, grey)
    result = np.empty((height, width, channels), np.uint8)
    result[:] = colour
    top, left = round((height - len(pixels)) / 2), round((width - pixels.shape[1]) / 2)
    result[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return result


def normalized(pixels: Any, record: Preprocessing) -> jax.Array:
    """Returns the network's input, float32, from pixels in [0, 255], (..., channels)."""
    # In float32 from the start: trained networks depend on the last bit.
    std = np.asarray(record.std, np.float32)
    scale = 1 / ((1 / record.scale) * std)
    offset = np.asarray(record.mean, np.float32) / std
    pixels = pixels[..., ::-1] if record.order == "bgr" else pixels
    return jnp.asarray(pixels, jnp.float32) * scale - offset
