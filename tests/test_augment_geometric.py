"""Where pixels go: against scipy.ndimage, Pillow and slices of numpy arrays."""

import itertools

import jax
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from PIL import Image

from cnnjax import augment
from cnnjax.augment import geometric, parse
from cnnjax.augment.draws import Draw
from cnnjax.augment.resample import EDGES

pytestmark = pytest.mark.usefixtures("quick_compilation")

HEIGHT, WIDTH = 9, 12
COUNT = 12
IMAGES = np.random.default_rng(0).uniform(0, 255, (COUNT, HEIGHT, WIDTH, 2)).astype(np.float32)


def uniforms(operations=1):
    return np.random.default_rng(operations).uniform(size=(COUNT, operations, 4))


def change(text, images, uniform):
    """Returns images after a pipeline that draws `uniform` (batch, operations, 4)."""
    pipeline = augment.pipeline(text)
    keys = jax.random.split(jax.random.key(0), uniform.shape[:2])
    values = pipeline.complete({})
    one = jax.jit(jax.vmap(lambda image, draws: pipeline.change(image, {}, draws, values, {})[0]))
    return np.asarray(one(images, Draw(np.float32(uniform), keys)))


def around(u, strength):
    return (2 * u - 1) * strength


def turn(u, degrees):
    """Counter-clockwise on the screen, where y points down."""
    a = np.deg2rad(around(u[0], degrees))
    return np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])


def slant(u, degrees):
    return np.array([[1, -np.tan(np.deg2rad(around(u[0], degrees))), 0], [0, 1, 0], [0, 0, 1]])


def to(x, y):
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])


def stretched(u, strength):
    side = (1 + around(u[0], strength)) ** 0.5
    return np.diag([side, 1 / side, 1])


def cut_out(u, area, ratio):
    """Returns left, top, right and bottom of the rectangle that is enlarged."""
    covered = area + (1 - area) * u[0]
    low, high = max(-np.log(ratio), np.log(covered)), min(np.log(ratio), -np.log(covered))
    factor = np.exp(low + (high - low) * u[1])
    wide, tall = WIDTH * np.sqrt(covered * factor), HEIGHT * np.sqrt(covered / factor)
    left, top = u[2] * (WIDTH - wide), u[3] * (HEIGHT - tall)
    return left, top, left + wide, top + tall


def filling(u, area, ratio):
    left, top, right, bottom = cut_out(u, area, ratio)
    return np.diag([WIDTH / (right - left), HEIGHT / (bottom - top), 1]) @ to(
        (WIDTH - left - right) / 2, (HEIGHT - top - bottom) / 2
    )


# What happens to the plane, for columns (x, y, 1) with y down, from the centre of the image.
FORWARD = {
    "flip(0.6)": lambda u: np.diag([-1 if u[0] < 0.6 else 1, 1, 1]),
    "vflip": lambda u: np.diag([1, -1 if u[0] < 0.5 else 1, 1]),
    "crop(2)": lambda u: to(*(np.floor(5 * u[:2]) - 2)),
    "hshift(0.3)": lambda u: to(np.round(around(u[0], 0.3 * WIDTH)), 0),
    "vshift(0.4)": lambda u: to(0, np.round(around(u[0], 0.4 * HEIGHT))),
    "shift(0.3)": lambda u: to(*np.round(around(u[:2], 0.3 * np.array([WIDTH, HEIGHT])))),
    "rotate(70)": lambda u: turn(u, 70),
    "shear(30)": lambda u: slant(u, 30),
    "scale(0.4)": lambda u: np.diag([*[1 + around(u[0], 0.4)] * 2, 1]),
    "zoom(1.2, 2)": lambda u: np.diag([*[1.2 + 0.8 * u[0]] * 2, 1]),
    "stretch(0.5)": lambda u: stretched(u, 0.5),
    "resized_crop(0.3)": lambda u: filling(u, 0.3, 4 / 3),
}
MODES = {"wrap": "grid-wrap"}  # scipy's "wrap" leaves a pixel out


def seen_through(image, forward, edge):
    """What scipy makes of `image` if the plane under it is moved `forward`."""
    matrix = np.linalg.inv(forward)[[1, 0, 2]][:, [1, 0, 2]]  # rows before columns
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = matrix[:2, 2] + centre - matrix[:2, :2] @ centre
    mode = "nearest" if edge == "constant" else MODES.get(edge, edge)
    channels = [
        scipy.ndimage.affine_transform(
            channel.astype(np.float64), matrix[:2, :2], offset, order=1, mode=mode
        )
        for channel in np.moveaxis(image, -1, 0)
    ]
    result = np.stack(channels, -1)
    if edge == "constant":  # beyond the outermost pixels, that is half a pixel from their centres
        places = np.einsum("ij,jhw->hwi", matrix[:2, :2], np.indices(image.shape[:2])) + offset
        inside = (places >= -0.5) & (places < np.array(image.shape[:2]) - 0.5)
        result *= inside.all(-1)[..., None]
    return result


def test_all_geometric_operations_are_compared():
    assert {text.partition("(")[0] for text in FORWARD} == set(parse.GEOMETRIC)


@pytest.mark.parametrize("text", FORWARD)
def test_an_operation_is_an_affine_map_of_scipy(text):
    uniform = uniforms()
    found = change(text, IMAGES, uniform)
    for image, (u,), result in zip(IMAGES, uniform, found, strict=True):
        np.testing.assert_allclose(
            result, seen_through(image, FORWARD[text](u), "constant"), atol=2e-3
        )


@pytest.mark.parametrize("edge", EDGES)
def test_neighbours_multiply_and_are_interpolated_once(edge):
    """The first works on the image first: the order of the matrices matters here."""
    names = ("rotate(70)", "crop(2)", "shear(30)", "flip(0.6)", "stretch(0.5)", "scale(0.4)")
    text = "|".join(names) + f"|zoom(0.4, 0.5, {edge})"
    uniform = uniforms(len(names) + 1)
    found = change(text, IMAGES, uniform)
    for image, us, result in zip(IMAGES, uniform, found, strict=True):
        forward = np.diag([*[0.4 + 0.1 * us[-1, 0]] * 2, 1])
        for name, u in reversed(list(zip(names, us, strict=False))):
            forward = forward @ FORWARD[name](u)
        np.testing.assert_allclose(result, seen_through(image, forward, edge), atol=2e-3)


def test_what_lies_within_the_outermost_centres_is_that_of_scipy_constant():
    """There, scipy.ndimage's mode "constant" needs no agreement about edges."""
    image, forward = IMAGES[0, :, :, 0], turn([0.9], 70)
    matrix = np.linalg.inv(forward)[1::-1, 1::-1]
    centre = (np.array(image.shape) - 1) / 2
    offset = centre - matrix @ centre
    expected = scipy.ndimage.affine_transform(image, matrix, offset, order=1, mode="constant")
    result = change("rotate(70)", IMAGES[:1], np.full((1, 1, 4), 0.9))[0, :, :, 0]
    compared = expected != 0
    assert 50 < compared.sum() < image.size
    np.testing.assert_allclose(result[compared], expected[compared], atol=2e-3)


def pillow(image, function):
    channels = [function(Image.fromarray(channel)) for channel in np.moveaxis(image, -1, 0)]
    return np.stack([np.asarray(channel) for channel in channels], -1)


def test_a_positive_angle_turns_as_in_pillow():
    u = np.full((COUNT, 1, 4), 0.75)
    expected = [
        pillow(image, lambda i: i.rotate(20, Image.Resampling.BILINEAR)) for image in IMAGES
    ]
    np.testing.assert_allclose(change("rotate(40)", IMAGES, u), expected, atol=5e-3)


def test_a_resized_crop_is_a_box_enlarged_by_pillow():
    uniform = uniforms()
    uniform[:4, 0, 2:] = np.array(list(itertools.product((0, 1 - 1e-6), repeat=2)))  # the corners
    found = change("resized_crop(0.2, 2)", IMAGES, uniform)
    for image, (u,), result in zip(IMAGES, uniform, found, strict=True):
        box = tuple(np.clip(cut_out(u, 0.2, 2), 0, (WIDTH, HEIGHT) * 2))
        resized = pillow(
            image, lambda i, box=box: i.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box)
        )
        np.testing.assert_allclose(result, resized, atol=5e-3)


def drawn(name, *numbers, count=4000):
    """Returns the maps of many draws, (count, 3, 3)."""
    draws = Draw(jax.random.uniform(jax.random.key(1), (count, 4)), jax.random.key(0))
    function = parse.AUGMENTATIONS[name]
    return np.asarray(
        jax.jit(
            jax.vmap(lambda uniform: function(Draw(uniform, draws.key), (HEIGHT, WIDTH), *numbers))
        )(draws.uniform)
    )


def test_a_resized_crop_covers_its_share_and_stays_inside():
    maps = drawn("resized_crop", 0.1, 1.5)
    wide, tall = maps[:, 0, 0], maps[:, 1, 1]
    area, ratio = wide * tall, np.log(wide / tall)
    assert scipy.stats.kstest(area, scipy.stats.uniform(0.1, 0.9).cdf).pvalue > 0.01
    assert np.abs(ratio).max() < np.log(1.5) + 1e-5
    small = area < 1 / 1.5  # every ratio fits into the image
    expected = scipy.stats.uniform(-np.log(1.5), 2 * np.log(1.5))
    assert scipy.stats.kstest(ratio[small], expected.cdf).pvalue > 0.01
    for side, middle, length in ((wide, maps[:, 0, 2], WIDTH), (tall, maps[:, 1, 2], HEIGHT)):
        room = (1 - side) * length / 2
        assert (np.abs(middle) <= room + 1e-4).all()
        place = (middle / room)[room > 1e-2]
        assert scipy.stats.kstest(place, scipy.stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_crops_and_shifts_reach_every_place_they_promise():
    moves = -drawn("crop", 2.0)[:, :2, 2]
    places, counts = np.unique(moves, axis=0, return_counts=True)
    assert [tuple(p) for p in places] == list(itertools.product(range(-2, 3), repeat=2))
    assert scipy.stats.chisquare(counts).pvalue > 0.01
    assert set(-drawn("hshift", 0.3)[:, 0, 2]) == set(range(-4, 5))
    assert set(-drawn("vshift", 0.3)[:, 1, 2]) == set(range(-3, 4))
    x, y = -drawn("shift", 0.3)[:, :2, 2].T
    assert (set(x), set(y)) == (set(range(-4, 5)), set(range(-3, 4)))
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.05


@pytest.mark.parametrize(("name", "middle"), [("flip", 0), ("vflip", 1)])
def test_flips_have_their_probability(name, middle):
    for p in (0.0, 0.3, 1.0):
        share = (drawn(name, p)[:, middle, middle] < 0).mean()
        assert abs(share - p) < 5 * np.sqrt(p * (1 - p) / 4000) + 1e-9


@pytest.mark.parametrize("edge", EDGES)
def test_moves_by_pixels_alone_are_exact(edge):
    """Shifts add up, and no pixel takes part in arithmetic: what is no number stays alone."""
    rule = {"nearest": "edge", "reflect": "symmetric", "mirror": "reflect"}.get(edge, edge)
    uniform = np.zeros((COUNT, 4, 4))
    uniform[:, 0, 0] = 1 - 1e-6  # by 3, the most of 0.25, to the right
    uniform[:, 0, 1] = 1 - 1e-6  # by 2, 0.25 of 9 rounded, down
    uniform[:6, 1] = 0.9  # no flip
    uniform[:, 2] = 0.9  # no flip
    uniform[:, 3, 0] = 0.25  # by -7 to 7: by -4 to the left
    uniform[:, 3, 1] = 0.99  # by 7 down
    images = IMAGES.copy()
    images[:, 5, 6] = np.nan
    found = change(f"shift(0.25, {edge})|flip|vflip(0.1)|crop(7)", images, uniform)
    padded = np.pad(images, ((0, 0), (20, 20), (20, 20), (0, 0)), rule)
    rows = slice(20 - 9, 20 - 9 + HEIGHT)
    np.testing.assert_array_equal(found[:6], padded[:6, rows, 21 : 21 + WIDTH])
    # The flipped image shows at x what was at width - 1 - x, and moved by 4 to the left before.
    flipped = padded[6:, rows, 20 - 7 : 20 - 7 + WIDTH][:, :, ::-1]
    np.testing.assert_array_equal(found[6:], flipped)


def test_exact_operations_stay_exact_when_colours_part_them_from_interpolation():
    uniform = np.full((COUNT, 3, 4), 0.1)
    uniform[:, 1:] = 0.5  # no change of brightness, no rotation
    found = change("flip|brightness(0.5)|rotate(90)", IMAGES, uniform)
    np.testing.assert_array_equal(found, IMAGES[:, :, ::-1])


def test_every_geometric_operation_is_either_exact_or_smooth():
    assert not geometric.EXACT.keys() & geometric.SMOOTH.keys()
    uniform = uniforms()
    whole = np.round(IMAGES)
    for text in FORWARD:
        result = change(text, whole, uniform)
        assert (text.partition("(")[0] in geometric.EXACT) == (result == np.round(result)).all()
