"""Pipelines: what may be written, what a batch becomes, and what that depends on."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from cnnjax import augment
from cnnjax.errors import InputError

pytestmark = pytest.mark.usefixtures("quick_compilation")

COUNT, SHAPE = 8, (16, 14, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE)).astype(np.uint8)
LABELS = np.arange(COUNT, dtype=np.int32)
# Every name at a strength that changes nearly every image, and at one that changes none.
STRONG = {
    "blur": "blur(3)", "brightness": "brightness(0.5)", "contrast": "contrast(0.5)",
    "crop": "crop(4)", "cutmix": "cutmix(1)", "cutout": "cutout(6)", "flip": "flip(0.5)",
    "gamma": "gamma(0.5)", "grey": "grey(0.5)", "hshift": "hshift(0.4)", "hue": "hue(0.5)",
    "mixup": "mixup(1)", "noise": "noise(20)", "resized_crop": "resized_crop(0.3)",
    "rotate": "rotate(40)", "saturation": "saturation(0.5)", "scale": "scale(0.4)",
    "shear": "shear(30)", "shift": "shift(0.4)", "stretch": "stretch(0.4)",
    "vflip": "vflip(0.5)", "vshift": "vshift(0.4)", "zoom": "zoom(0.5, 2)",
}  # fmt: skip
NOTHING = {name: f"{name}(0)" for name in STRONG} | {
    "resized_crop": "resized_crop(1, 1)",
    "zoom": "zoom(1, 1)",
}
ALONE = [name for name in STRONG if name not in ("mixup", "cutmix")]
# A run with interpolation, one without, an operation with a key of its own, and mixing.
MANY = "crop(4)|rotate(40)|contrast(0.5)|noise(20)|flip|cutmix(1)"


@functools.cache
def compiled(text):
    pipeline = augment.pipeline(text, SHAPE)
    return jax.jit(lambda key, *batch: pipeline(jax.random.key(key), *batch[:3], first=batch[3]))


def run(text, images=IMAGES, labels=LABELS, key=0, first=0, values=None):
    """Returns images and targets after the pipeline of `text`."""
    return jax.tree.map(np.asarray, compiled(text)(key, images, labels, values, first))


def test_every_augmentation_is_tested_here():
    assert set(STRONG) == set(augment.AUGMENTATIONS)


def test_nothing_is_the_identity():
    for text in ("", "  "):
        images, targets = run(text)
        np.testing.assert_array_equal(images, IMAGES)
        assert images.dtype == np.float32 and augment.pipeline(text).values == {}
        np.testing.assert_array_equal(targets.own, LABELS)
        np.testing.assert_array_equal(targets.others, LABELS)
        np.testing.assert_array_equal(targets.share, np.ones(COUNT, np.float32))


ZERO = (
    "|".join(NOTHING[name] for name in [*ALONE, "mixup"]),
    "rotate(0, reflect)|shear(0)|cutmix(0)",
    "crop(0)|flip(0)|vflip(0)|shift(0)",  # without interpolation
)


@pytest.mark.parametrize("text", ZERO)
def test_at_strength_zero_all_together_change_no_bit(text):
    images, targets = run(text)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(targets.share, 1)
    np.testing.assert_array_equal(targets.own, LABELS)


def test_each_example_draws_for_itself_and_keeps_shape_and_range():
    """Eight copies of one image come out different, unless there are two outcomes only."""
    pipelines = [augment.pipeline(text, SHAPE) for text in STRONG.values()]
    copies = np.repeat(IMAGES[:1], COUNT, 0)
    copies[1::2] = IMAGES[1]  # neighbours differ, or there were nothing to mix
    outputs = jax.jit(lambda key: [p(key, copies, LABELS)[0] for p in pipelines])(jax.random.key(0))
    for name, images in zip(STRONG, np.asarray(outputs), strict=True):
        assert images.shape == IMAGES.shape and images.dtype == np.float32
        assert images.min() >= 0 and images.max() <= 255
        different = len(np.unique(images[::2].reshape(COUNT // 2, -1), axis=0))
        assert different >= (2 if name in ("flip", "vflip", "grey") else 3), name


def test_images_are_a_function_of_the_key():
    same, other = run(MANY, key=1), run(MANY, key=2)
    for one, two in zip(jax.tree.leaves(run(MANY, key=1)), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (same[0] != other[0]).any((1, 2, 3)).all()


def test_floating_pixels_give_what_bytes_give():
    text = "crop(4)|hue(0.2)|rotate(20)"
    np.testing.assert_array_equal(run(text)[0], run(text, np.float32(IMAGES))[0])


def test_a_batch_is_its_halves():
    whole = run(MANY)
    half = COUNT // 2
    first = run(MANY, IMAGES[:half], LABELS[:half], first=0)
    second = run(MANY, IMAGES[half:], LABELS[half:], first=half)
    assert_same(jax.tree.map(lambda *parts: np.concatenate(parts), first, second), whole)
    moved = run(MANY, IMAGES[half:], LABELS[half:], first=0)
    assert (moved[0] != second[0]).any((1, 2, 3)).all()


def assert_same(found, expected):
    """To the last bit of a sum: programs for other batches may add in another order."""
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-3)


def test_four_devices_augment_as_one_does():
    pipeline = augment.pipeline(MANY, SHAPE)

    def part(key, images, labels):
        first = jax.lax.axis_index("data") * len(images)
        return pipeline(key, images, labels, first=first)

    mesh = jax.make_mesh((4,), ("data",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])
    data, every = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec()
    over_devices = jax.jit(
        jax.shard_map(part, mesh=mesh, in_specs=(every, data, data), out_specs=data)
    )
    assert_same(over_devices(jax.random.key(0), IMAGES, LABELS), run(MANY))


def test_another_strength_compiles_nothing():
    traced = []
    weak = augment.pipeline("crop(1)|flip(0.1)|blur(0.5)|cutout(2)|mixup(0.1)")
    strong = augment.pipeline("crop(5)|flip(0.9)|blur(3)|cutout(8)|mixup(2)")

    @jax.jit
    def both(values):
        traced.append(values)
        return weak(jax.random.key(0), IMAGES, LABELS, values)

    assert weak.values.keys() == strong.values.keys()
    assert_same(both(weak.values), run(weak.text))
    assert_same(both(strong.values), run(strong.text))
    assert len(traced) == 1
    assert (both(weak.values)[0] != both(strong.values)[0]).any((1, 2, 3)).all()


def test_values_may_be_given_in_part():
    some = augment.pipeline("rotate(5)|brightness(0.1)")
    call = jax.jit(lambda values: some(jax.random.key(0), IMAGES, LABELS, values))
    images, _ = call({"rotate.degrees": 0.0})
    assert_same(images, run("rotate(0)|brightness(0.1)")[0])
    with pytest.raises(InputError, match="has no 'rotate.degree'; did you mean rotate.degrees"):
        call({"rotate.degree": 0.0})


def test_values_have_names_of_their_own():
    pipeline = augment.pipeline("crop(4, reflect) | flip|rotate(15)| rotate( degrees=3 )|zoom(1,2)")
    assert pipeline.values == {
        "crop.pad": 4.0,
        "flip.p": 0.5,
        "rotate.degrees": 15.0,
        "rotate2.degrees": 3.0,
        "zoom.low": 1.0,
        "zoom.high": 2.0,
    }
    assert augment.pipeline("resized_crop(0.5)").values["resized_crop.ratio"] == 4 / 3


def test_of_two_with_one_name_each_has_its_own_draw_and_value():
    images, _ = run("brightness(0)|brightness(0.5)")
    assert (images != IMAGES).any((1, 2, 3)).all()
    assert (images != run("brightness(0.5)|brightness(0)")[0]).any((1, 2, 3)).all()


def test_pipelines_of_one_text_are_one_and_can_be_static():
    one, same = augment.pipeline("crop(4)|flip"), augment.pipeline("crop(4)|flip")
    assert one == same and hash(one) == hash(same) and one != augment.pipeline("crop(3)|flip")
    changed = dataclasses.replace(one, values=one.values | {"crop.pad": 2.0})
    assert changed != one
    found = jax.jit(changed)(jax.random.key(0), IMAGES, LABELS)
    assert_same(found, run("crop(2)|flip"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotat(15)", "unknown augmentation 'rotat'; did you mean rotate"),
        ("crop(4)||flip", "cannot read '' in the augmentation 'crop.4.||flip'; .* as in 'crop.4."),
        ("crop(4)|", "cannot read ''"),
        ("crop(4", "cannot read 'crop.4' in"),
        ("crop(4), flip", "cannot read 'crop.4., flip'"),
        ("crop", r"'crop' lacks pad; write crop\(pad, edge=constant\)"),
        ("zoom(1)", "lacks high"),
        ("zoom()", "lacks low and high"),
        ("rotate(1, 2)", r"'rotate\(1, 2\)' has too many numbers; write rotate\(degrees"),
        ("flip(0.5, 1, 2)", "too many numbers"),
        ("resized_crop(1, 2, 3)", r"write resized_crop\(area, ratio=1.33, edge=constant\)"),
        ("rotate(degree=3)", "rotate has no argument 'degree'; did you mean degrees"),
        ("rotate(3, degrees=3)", "gives degrees twice"),
        ("zoom(high=2, 1, 1)", "too many numbers"),
        ("rotate(fast)", "unknown rule for what lies beyond the edge 'fast'"),
        ("rotate(5, reflec)", "edge 'reflec'; did you mean reflect"),
        ("rotate(5, edge=3)", "unknown rule for what lies beyond the edge '3'"),
        ("rotate(5, reflect, wrap)", "names two rules"),
        ("rotate(degrees=x)", r"'x' in 'rotate\(degrees=x\)' is not a number; write rotate"),
        ("rotate(5,)", "'' in .* is not a number"),
        ("blur(1, reflect)", r"'reflect' in 'blur\(1, reflect\)' is not a number; write blur"),
        ("rotate(181)", "degrees of rotate is a number between 0 and 180; given 181"),
        ("rotate(-1)", "given -1"),
        ("rotate(nan)", "given nan"),
        ("crop(inf)", "pad of crop is a whole number, 0 or more; given inf"),
        ("crop(2.5)", "given 2.5"),
        ("flip(1.1)", "p of flip is a number between 0 and 1; given 1.1"),
        ("scale(1)", "strength of scale is a number between 0 and 0.9; given 1"),
        ("zoom(0, 2)", "low of zoom is a number between 0.1 and 10; given 0"),
        ("hue(0.6)", "share of hue is a number between 0 and 0.5; given 0.6"),
        ("noise(256)", "sigma of noise is a number between 0 and 255; given 256"),
        ("crop(4, reflect)|flip|rotate(15, wrap)",
         r"'crop\(4, reflect\)' and 'rotate\(15, wrap\)' are resampled together"),
        ("mixup(1)|flip", r"'mixup\(1\)' comes last, and once"),
        ("cutmix(1)|mixup(1)", r"'cutmix\(1\)' comes last, and once"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_in_words(text, message):
    with pytest.raises(InputError, match=message):
        augment.pipeline(text)


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("hue(0.1)", (28, 28, 1), "hue needs red, green and blue; the images are 28x28x1"),
        ("crop(29)", (28, 32, 1), "pad of crop is at most the shorter side .* 28x32; given 29"),
        ("flip|cutout(40)", (32, 32, 3), "size of cutout is at most .*; given 40"),
    ],
)
def test_what_does_not_suit_the_images_is_refused_in_words(text, shape, message):
    with pytest.raises(InputError, match=message):
        augment.pipeline(text, shape)
    pipeline = augment.pipeline(text)
    with pytest.raises(InputError, match=message):
        jax.eval_shape(pipeline, jax.random.key(0), np.zeros((2, *shape)), np.zeros(2))


def test_rules_for_the_edge_may_differ_where_something_stands_between():
    text = "crop(4, reflect)|brightness(0.1)|rotate(15, wrap)"
    assert [term.edge for term in augment.pipeline(text).terms] == ["reflect", None, "wrap"]
