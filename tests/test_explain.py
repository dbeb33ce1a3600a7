"""Explanations of functions whose answer is known, and the pictures of a tiny run."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from PIL import Image

from cnnjax import models
from cnnjax.errors import InputError
from cnnjax.evaluation import trained
from cnnjax.explain import activation, attribution, methods, pictures, sanity, units
from cnnjax.structure import graph as graphs
from cnnjax.tasks import TASKS
from cnnjax.train import run
from tests import tiny

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(2, 12, 10, 3)).astype(np.float32)
WEIGHTS = RANDOM.normal(size=(12, 10, 3)).astype(np.float32)
KEY = jax.random.key(0)


def linear(x):
    return jnp.tensordot(x, WEIGHTS, 3)


def curved(x):
    return jnp.tanh(linear(x)) + (x**2).mean((1, 2, 3))


def test_every_gradient_of_a_linear_score_is_its_weights():
    expected = np.broadcast_to(WEIGHTS, INPUTS.shape)
    np.testing.assert_allclose(attribution.gradient(linear, INPUTS), expected, rtol=1e-5)
    smooth = attribution.smooth_grad(KEY, linear, jnp.asarray(INPUTS), samples=3)
    np.testing.assert_allclose(smooth, expected, rtol=1e-5)
    heat, miss = attribution.integrated_gradients(linear, INPUTS, jnp.float32(0.5), steps=4)
    np.testing.assert_allclose(heat, (INPUTS - 0.5) * WEIGHTS, rtol=1e-4, atol=1e-5)
    assert np.abs(miss).max() < 1e-3


def test_smooth_grad_tends_to_the_gradient_of_the_smoothed_score():
    inputs = jnp.asarray(INPUTS)

    def square(x):
        return (x**3).sum((1, 2, 3))

    found = attribution.smooth_grad(KEY, square, inputs, samples=4000, noise=0.1)
    spread = 0.1 * np.ptp(INPUTS, axis=(1, 2, 3), keepdims=True)
    # E[3 (x + s n)^2] = 3 x^2 + 3 s^2.
    np.testing.assert_allclose(found, 3 * INPUTS**2 + 3 * spread**2, atol=0.5)


def test_integrated_gradients_say_what_they_miss():
    few = attribution.integrated_gradients(curved, INPUTS, jnp.float32(0), steps=2)
    many = attribution.integrated_gradients(curved, INPUTS, jnp.float32(0), steps=64)
    assert np.abs(many[1]).max() < 1e-2 < np.abs(few[1]).max()
    gap = curved(INPUTS) - curved(jnp.zeros_like(INPUTS))
    np.testing.assert_allclose(few[0].sum((1, 2, 3)) - few[1], gap, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("window", "stride"), [(4, 4), (5, 3), (12, 1), (20, 7), (1, 1)])
def test_occlusion_of_a_linear_score(window, stride):
    found = attribution.occlusion(linear, INPUTS, window, stride, 0.25)
    total, count = np.zeros((2, 12, 10)), np.zeros((12, 10))
    for top in attribution.offsets(12, window, stride):
        for left in attribution.offsets(10, window, stride):
            place = np.s_[top : top + window, left : left + window]
            fall = ((INPUTS - 0.25) * WEIGHTS)[:, *place].sum((1, 2, 3))
            total[:, *place] += fall[:, None, None]
            count[place] += 1
    assert count.min() > 0
    np.testing.assert_allclose(found[..., 0], total / count, rtol=1e-3, atol=1e-3)


def test_rise_finds_the_only_place_that_counts():
    def corner(x):
        return x[:, 2:4, 6:8].mean((1, 2, 3))

    found = attribution.rise(KEY, corner, jnp.ones((1, 12, 10, 3)), masks=2000, cells=4)[0, ..., 0]
    row, column = np.unravel_index(np.argmax(found), found.shape)
    assert 1 <= row <= 4 and 5 <= column <= 8
    # Far from it the mean score is that of any mask.
    assert abs(found[10, 1] - 0.5) < 0.05 < found[3, 7] - found[10, 1]


@functools.cache
def convnet():
    module = models.build("first_convnet", 10)
    variables = module.init(KEY, jnp.zeros((1, 28, 28, 1)))
    return module, variables, graphs.traced(module, variables, (1, 28, 28, 1))


def test_grad_cam_is_the_papers_formula():
    _, variables, graph = convnet()
    inputs = jnp.asarray(RANDOM.normal(size=(1, 28, 28, 1)), jnp.float32)
    maps, slope = map(
        np.asarray,
        activation.maps_and_gradients(graph, variables, inputs, "block2_conv1", lambda y: y[:, 3]),
    )
    found = activation.grad_cam(graph, variables, inputs, "block2_conv1", lambda y: y[:, 3])
    weights = [slope[0, :, :, m].mean() for m in range(64)]
    expected = sum(w * maps[0, :, :, m] for m, w in enumerate(weights))
    np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-6)
    step = np.zeros_like(maps)
    step[0, 3, 4, 5] = 1e-2
    plus, minus = (
        graphs.run(graph, variables, inputs, change={"block2_conv1": lambda x, s=s: x + s * step})[
            0
        ][0, 3]
        for s in (1, -1)
    )
    assert (plus - minus) / 2e-2 == pytest.approx(slope[0, 3, 4, 5], rel=0.05, abs=1e-5)


@pytest.mark.parametrize("values", [RANDOM.normal(size=50), np.repeat([3.0, 1.0, 2.0], 7)])
def test_similarity_is_spearmans(values):
    other = RANDOM.normal(size=values.shape)
    expected = scipy.stats.spearmanr(np.abs(values), np.abs(other)).statistic
    assert sanity.similarity(values, other) == pytest.approx(expected)
    assert np.isnan(sanity.similarity(np.ones(5), np.arange(5)))


def test_randomised_parameters_are_the_same_numbers_elsewhere():
    _, variables, _ = convnet()
    other = sanity.randomised(variables, KEY)
    ours, theirs = variables["params"]["head"]["kernel"], other["params"]["head"]["kernel"]
    assert (ours != theirs).mean() > 0.9
    np.testing.assert_array_equal(np.sort(ours, None), np.sort(theirs, None))


def test_a_unit_is_found_where_its_pattern_lies():
    images = np.zeros((3, 28, 28, 1), np.uint8)
    images[1, 10:13, 20:23] = 255
    module, variables, graph = convnet()
    kernel = np.zeros((3, 3, 1, 32), np.float32)
    kernel[..., 7] = 1
    variables = {"params": variables["params"] | {"block1_conv1": {
        "kernel": jnp.asarray(kernel), "bias": jnp.zeros(32)}}}  # fmt: skip
    wide = graphs.traced(module, variables, (2, 28, 28, 1))

    def results(part):
        return graphs.run(wide, variables, jnp.float32(part), ("block1_conv1",))[1]["block1_conv1"]

    values, places = units.peaks(results, images, 2)
    assert values.shape == (3, 32) and values[1, 7] == 9 * 255
    (best, _) = units.strongest(graph, "block1_conv1", values, places, 7, 2)
    assert (best.image, best.rows, best.columns) == (1, (10, 13), (20, 23))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("explained") / "run"
    run.run(tiny.config(data__size=16, epochs=20.0, model__act="relu"), workdir)
    return trained.load(workdir)


@pytest.mark.parametrize("method", methods.METHODS)
def test_a_picture_and_a_line_for_each_image(network, method, tmp_path):
    images = pictures.subjects(network, [], 2, False)
    lines = list(pictures.drawn(network, method, images, tmp_path / "out"))
    for image in images:
        with Image.open(tmp_path / "out" / f"{image.name}_{method}.png") as picture:
            colours = np.asarray(picture.convert("RGB"))
        assert colours.std() > 20
        (line,) = (line for line in lines if f"{image.name}_{method}.png" in line)
        assert f"true: {image.true}" in line
        # Adebayo et al. 2018: what stays the same with random weights explains nothing.
        alike = line.rpartition("; with random weights: ")[2]
        assert alike == "no heat at all" or float(alike.removeprefix("rank correlation ")) < 0.98


@pytest.mark.parametrize("method", pictures.SHEETS)
def test_a_sheet_of_each_kind(network, method, tmp_path):
    images = pictures.subjects(network, [], 1, False)
    files = list(pictures.drawn(network, method, images, tmp_path))
    assert sorted(files) == sorted(map(str, tmp_path.iterdir())) != []
    for file in files:
        with Image.open(file) as picture:
            assert np.asarray(picture.convert("RGB")).std() > 10
            if method == "animation":
                assert picture.n_frames == 144
    if method in ("patches", "optimised"):
        assert [f.rpartition("/")[2].partition("_")[0] for f in sorted(files)] == ["c1", "c3"]


def test_what_does_not_exist_is_refused_before_anything_is_written(network, tmp_path):
    images = pictures.subjects(network, [], 1, False)
    with pytest.raises(InputError, match="no layer 'c4'; did you mean c3"):
        list(pictures.drawn(network, "maps", images, tmp_path / "out", layer="c4"))
    with pytest.raises(InputError, match="no class 'sqare'; did you mean square"):
        list(pictures.drawn(network, "rise", images, tmp_path / "out", asked="sqare"))
    assert not (tmp_path / "out").exists()


def test_images_of_one_name_do_not_overwrite_each_other(network, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("L", (16, 16), 90).save(tmp_path / folder / "x.png")
    files = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"]
    assert [s.name for s in pictures.subjects(network, files, 1, False)] == ["x", "x_2"]


def test_the_heat_of_a_class_is_refused_where_a_run_has_another_task(network, tmp_path):
    images = pictures.subjects(network, [], 1, False)
    other = dataclasses.replace(network, task=TASKS["localization"])
    with pytest.raises(InputError, match="has another task: its layers are shown by animation"):
        list(pictures.drawn(other, "grad_cam", images, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert list(pictures.drawn(other, "maps", images, tmp_path / "out"))
