"""Light, colour, blur, noise and holes: against Pillow, colorsys, scipy.ndimage and loops."""

import colorsys
import itertools

import jax
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from PIL import Image, ImageEnhance

from cnnjax import augment
from cnnjax.augment import parse
from cnnjax.augment.draws import Draw
from cnnjax.errors import InputError

pytestmark = pytest.mark.usefixtures("quick_compilation")

COUNT, HEIGHT, WIDTH = 10, 11, 14
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, HEIGHT, WIDTH, 3)).astype(np.uint8)
IMAGES[0], IMAGES[1], IMAGES[2, :5] = 0, 255, 77
UNIFORM = np.random.default_rng(1).uniform(size=(COUNT, 1, 4)).astype(np.float32)
UNIFORM[3:5, 0, 0] = 0, 1 - 1e-6
FACTORS = 1 + 0.8 * (2 * UNIFORM[:, 0, 0] - 1)  # of strength 0.8


def change(text, images=IMAGES, uniform=UNIFORM):
    """Returns images after a pipeline that draws `uniform` (batch, operations, 4)."""
    pipeline = augment.pipeline(text, images.shape[1:])
    keys = jax.random.split(jax.random.key(0), uniform.shape[:2])
    values = pipeline.complete({})
    one = jax.jit(jax.vmap(lambda image, draws: pipeline.change(image, {}, draws, values, {})[0]))
    return np.asarray(one(np.float32(images), Draw(uniform, keys)))


@pytest.mark.parametrize(
    ("name", "enhance"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_enhancements_are_those_of_pillow(name, enhance):
    """But for rounding: Pillow cuts fractions of the result off, and rounds greys before."""
    grey = 0 if name == "brightness" else 0.5 * 0.8
    for image, factor, result in zip(IMAGES, FACTORS, change(f"{name}(0.8)"), strict=True):
        expected = np.asarray(enhance(Image.fromarray(image)).enhance(float(factor)), np.float32)
        assert (result - expected).min() > -grey - 1e-3
        assert (result - expected).max() < 1 + grey + 1e-3


def test_contrast_of_other_than_three_channels_is_about_their_mean():
    for channels in (1, 2):
        images = IMAGES[..., :channels]
        means = images.mean((1, 2, 3), keepdims=True)
        expected = means + FACTORS[:, None, None, None] * (images - means)
        np.testing.assert_allclose(
            change("contrast(0.8)", images), np.clip(expected, 0, 255), atol=1e-3
        )


def test_grey_is_pillows_grey():
    found = change("grey(0.5)")
    for image, u, result in zip(IMAGES, UNIFORM[:, 0, 0], found, strict=True):
        if u < 0.5:
            grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)
            np.testing.assert_allclose(result, grey[..., None].repeat(3, -1), atol=0.51)
        else:
            np.testing.assert_array_equal(result, image)
    assert 2 < (UNIFORM[:, 0, 0] < 0.5).sum() < COUNT - 2


def test_hue_is_that_of_colorsys():
    found = change("hue(0.5)")
    for image, u, result in zip(IMAGES, UNIFORM[:, 0, 0], found, strict=True):
        expected = np.zeros(image.shape)
        for row, column in np.ndindex(*image.shape[:2]):
            hue, saturation, value = colorsys.rgb_to_hsv(*image[row, column] / 255)
            turned = colorsys.hsv_to_rgb((hue + u - 0.5) % 1, saturation, value)
            expected[row, column] = np.multiply(turned, 255)
        np.testing.assert_allclose(result, expected, atol=5e-3)


def test_gamma_is_a_power():
    found = change("gamma(0.8)")
    expected = 255 * (IMAGES / 255) ** FACTORS[:, None, None, None]
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_blur_is_the_gaussian_filter_of_scipy():
    images = IMAGES.repeat(2, 1).repeat(2, 2)
    found = change("blur(3)", images)
    for image, u, result in zip(images, UNIFORM[:, 0, 0], found, strict=True):
        if u > 0:
            expected = scipy.ndimage.gaussian_filter(
                np.float64(image), 3 * u, axes=(0, 1), truncate=7
            )
            np.testing.assert_allclose(result, expected, atol=0.05 if u > 0.9 else 5e-3)
        else:
            np.testing.assert_array_equal(result, image)


def test_a_blur_neither_darkens_nor_brightens():
    found = change("blur(10)")
    np.testing.assert_allclose(found.mean((1, 2)), IMAGES.mean((1, 2)), rtol=0.01, atol=1e-3)
    np.testing.assert_allclose(found[1], 255, rtol=1e-6)


def test_noise_is_normal_and_of_its_own_at_every_value():
    images = np.full((COUNT, 40, 30, 3), 128)
    added = change("noise(7)", images) - 128
    flat = added.reshape(COUNT, -1)
    assert scipy.stats.kstest(flat.ravel() / 7, "norm").pvalue > 0.01
    channels = np.moveaxis(added, -1, 0).reshape(3, -1)
    for independent in (flat, channels, np.stack([flat[:, 1:].ravel(), flat[:, :-1].ravel()])):
        others = np.corrcoef(independent) - np.eye(len(independent))
        assert np.abs(others).max() < 5 / np.sqrt(independent.shape[1])
    assert len(np.unique(flat)) > 0.99 * flat.size


def test_two_noises_differ():
    pipeline = jax.jit(augment.pipeline("noise(5)|noise(5)"))
    twice, _ = pipeline(jax.random.key(0), np.full((COUNT, 40, 30, 3), 128), np.arange(COUNT))
    np.testing.assert_allclose((twice - 128).std(), 5 * np.sqrt(2), rtol=0.02)


@pytest.mark.parametrize("size", [0, 1, 4, 5, 11])
def test_cutout_blackens_a_square_around_a_pixel(size):
    uniform = np.zeros((COUNT, 1, 4), np.float32)
    uniform[:, 0, :2] = list(itertools.product((0, 0.3, 0.5, 0.7, 1 - 1e-6), (0, 0.45)))
    images = np.maximum(IMAGES, 1)
    found = change(f"cutout({size})", images, uniform)
    for image, (u,), result in zip(images, uniform, found, strict=True):
        row, column = int(u[0] * HEIGHT), int(u[1] * WIDTH)
        expected = image.copy()
        for i, j in itertools.product(range(size), repeat=2):
            y, x = row - size // 2 + i, column - size // 2 + j
            if 0 <= y < HEIGHT and 0 <= x < WIDTH:
                expected[y, x] = 0
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "gamma"])
def test_a_strength_of_two_tenths_is_a_factor_from_eight_to_twelve_tenths(name):
    """Seen at a grey, and a colour beside it; the three factors make known numbers of them."""
    image = np.float32([[[100, 100, 100], [100, 100, 100]]])
    if name in ("contrast", "saturation"):
        image[0, 1] = [120, 120, 120] if name == "contrast" else [100, 110, 100]
    uniform = np.float32([0, 0.5, 1 - 1e-6])[:, None, None] * np.ones(4, np.float32)
    found = change(f"{name}(0.2)", np.stack([image] * 3), uniform)[:, 0]
    if name == "brightness":
        factors = found[:, 0, 0] / 100
    elif name == "contrast":
        factors = (found[:, 1, 0] - found[:, 0, 0]) / 20
    elif name == "saturation":
        factors = (found[:, 1, 1] - found[:, 1, 0]) / 10
    else:
        factors = np.log(found[:, 0, 0] / 255) / np.log(100 / 255)
    np.testing.assert_allclose(factors, [0.8, 1, 1.2], atol=1e-4)


def test_results_are_clipped_as_in_pillow_after_each_operation():
    uniform = np.full((COUNT, 2, 4), 1 - 1e-6, np.float32)
    uniform[:, 1] = 0
    found = change("brightness(1)|brightness(0.5)", IMAGES, uniform)
    np.testing.assert_allclose(found, np.minimum(2.0 * IMAGES, 255) / 2, atol=1e-3)
    loud = change("noise(255)")
    assert loud.min() == 0 and loud.max() == 255


def test_colour_needs_three_channels_wherever_that_is_known():
    for name in ("hue", "saturation", "grey"):
        with pytest.raises(InputError, match=f"{name} needs red, green and blue"):
            change(f"{name}(0.1)", IMAGES[..., :1])
        pipeline = augment.pipeline(f"{name}(0.1)")
        with pytest.raises(InputError, match="the images are 11x14x2"):
            pipeline(jax.random.key(0), IMAGES[..., :2], np.arange(COUNT))
    assert {"hue", "saturation", "grey"} < set(parse.AUGMENTATIONS)
