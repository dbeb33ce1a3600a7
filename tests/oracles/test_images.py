"""Preprocessing against that of the frameworks whose weights expect it."""

import numpy as np
import pytest
from PIL import Image

from cnnjax import images
from tests.image_files import drawn, written
from tests.oracles import keras_side, torch_side  # noqa: F401 - before the frameworks themselves

SHAPES = [(300, 431), (513, 260), (90, 71), (224, 224)]


def picture(shape):
    noise = np.random.default_rng(0).integers(0, 40, (*shape, 3), np.uint8)
    return Image.fromarray(drawn(*shape) // 2 + noise)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (232, 224), (93, 64), (224, 224)])
def test_torchvisions_classification_presets(shape, resize, crop):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    theirs = ImageClassification(
        crop_size=crop, resize_size=resize, interpolation=InterpolationMode.BILINEAR
    )(picture(shape))
    record = images.preset("torchvision", crop, crop_fraction=crop / resize)
    pixels = images.load(written(picture(shape), "PNG"), record)
    ours = np.asarray(images.normalized(pixels, record)).transpose(2, 0, 1)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fraction", [0.875, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("name", ["timm", "timm_inception"])
def test_timms_evaluation_transform(shape, fraction, name):
    from timm.data import IMAGENET_INCEPTION_MEAN, IMAGENET_INCEPTION_STD, create_transform

    statistics = {"mean": IMAGENET_INCEPTION_MEAN, "std": IMAGENET_INCEPTION_STD}
    transform = create_transform(
        224, interpolation="bicubic", crop_pct=fraction,
        **(statistics if name == "timm_inception" else {}),
    )  # fmt: skip
    theirs = transform(picture(shape))
    record = images.preset(name, crop_fraction=fraction)
    pixels = images.load(written(picture(shape), "PNG"), record)
    ours = np.asarray(images.normalized(pixels, record)).transpose(2, 0, 1)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["caffe", "torch", "tf"])
def test_keras_applications(shape, mode, tmp_path):
    import keras
    from keras.src.applications import imagenet_utils

    (tmp_path / "x.png").write_bytes(written(picture(shape), "PNG"))
    loaded = keras.utils.load_img(tmp_path / "x.png", target_size=(160, 224))
    array = keras.utils.img_to_array(loaded)
    theirs = imagenet_utils.preprocess_input(array, data_format="channels_last", mode=mode)
    record = images.preset(mode, (160, 224))
    ours = images.normalized(images.load(tmp_path / "x.png", record), record)
    np.testing.assert_allclose(np.asarray(ours), theirs, atol=2e-5)
