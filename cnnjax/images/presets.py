"""The preprocessing that widely used weights were trained with."""

from __future__ import annotations

import dataclasses
from typing import Any

from cnnjax.images.preprocessing import Preprocessing
from cnnjax.registry import Table

# Mean and deviation of ImageNet's pixels / 255 that torchvision, timm and Keras share.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# Keras: applications/imagenet_utils.py, preprocess_input, after keras.utils.load_img(target_size=),
# whose interpolation is "nearest". Its caffe means are of BGR pixels from 0 to 255.
# torchvision: transforms/_presets.py, ImageClassification; weights named V2 resize to 232, not 256.
# timm: data/transforms_factory.py with the defaults of data/config.py; `inception` is its
# IMAGENET_INCEPTION_MEAN and _STD.
PRESETS: Table[Preprocessing] = Table(
    "preprocessing",
    unit=Preprocessing(),
    caffe=Preprocessing(
        interpolation="nearest", order="bgr", scale=1.0, mean=(103.939, 116.779, 123.68)
    ),
    torch=Preprocessing(interpolation="nearest", mean=IMAGENET_MEAN, std=IMAGENET_STD),
    tf=Preprocessing(interpolation="nearest", scale=1 / 127.5, mean=(1.0,)),
    torchvision=Preprocessing(
        resize="crop", crop_fraction=0.875, mean=IMAGENET_MEAN, std=IMAGENET_STD
    ),
    timm=Preprocessing(
        resize="crop", crop_fraction=0.875, interpolation="bicubic",
        mean=IMAGENET_MEAN, std=IMAGENET_STD,
    ),
    timm_inception=Preprocessing(
        resize="crop", crop_fraction=0.875, interpolation="bicubic",
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
    ),
)  # fmt: skip


def preset(name: str, size: int | tuple[int, int] = (224, 224), **changes: Any) -> Preprocessing:
    """Returns a preset for images of `size` (height and width, or both), other fields changed."""
    size = (size, size) if isinstance(size, int) else size
    return dataclasses.replace(PRESETS[name], size=size, **changes)
