"""Requirements 1.1, the second half: filters on images, colour, and patches."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import convolution, models
from cnnjax.verification.check import Check, Outcome, above, attempt, close, difference, equal


def sobel_on_a_step(sobel=convolution.sobel) -> Outcome:
    image = np.zeros((6, 6), np.uint8)
    image[:, 3:] = 255
    found = np.asarray(sobel(image, "valid").magnitude)
    normalised = (found - found.min()) / (found.max() - found.min())
    expected = {"magnitude": [[0, 1020, 1020, 0]] * 4, "as shown": [[0, 1, 1, 0]] * 4}
    return close(expected, {"magnitude": found, "as shown": normalised})


def by_hand(feature_maps=convolution.feature_maps) -> Outcome:
    # 1*0 + 2*1 + 3*2 + 4*6 + 5*7 + 6*8 + 7*12 + 8*13 + 9*14 = 429; a step to the right adds one
    # to each pixel, so the sum of the kernel, 45; a step down six of those, 270.
    image = np.arange(36.0).reshape(6, 6, 1)
    kernel = np.arange(1.0, 10).reshape(3, 3, 1, 1)
    expected = [
        [429, 474, 519, 564],
        [699, 744, 789, 834],
        [969, 1014, 1059, 1104],
        [1239, 1284, 1329, 1374],
    ]
    found = feature_maps(image, kernel)
    return close(expected, found[..., 0])


def colour(feature_maps=convolution.feature_maps) -> Outcome:
    image = np.ones((6, 6, 3))
    found = feature_maps(image, np.ones((3, 3, 3, 1)))
    sentence = attempt(lambda: feature_maps(image, np.ones((3, 3, 4, 1))))
    computed = {
        "map": found.shape,
        "value": float(found[0, 0, 0]),
        "3 on 4 refused, naming both": "3 channels" in sentence and "4" in sentence,
    }
    expected = {"map": (4, 4, 1), "value": 27.0, "3 on 4 refused, naming both": True}
    return equal(expected, computed)


def one_map_per_filter(feature_maps=convolution.feature_maps) -> Outcome:
    rng = np.random.default_rng(0)
    image, filters = rng.normal(size=(6, 6, 3)), rng.normal(size=(3, 3, 3, 7))
    found = feature_maps(image, filters)
    alone = np.stack([feature_maps(image, filters[..., m : m + 1])[..., 0] for m in range(7)], -1)
    passed = found.shape == (4, 4, 7) and difference(found, alone) < 1e-5
    return Outcome({"7 filters": (4, 4, 7)}, {"7 filters": found.shape}, passed)


def kernels_and_filters(layer_filters=convolution.layer_filters) -> Outcome:
    network = models.build("first_convnet", classes=10)
    images = jnp.zeros((1, 28, 28, 1))
    variables = jax.eval_shape(lambda: network.init(jax.random.key(0), images, train=False))
    filters = layer_filters(variables["params"]["block2_conv1"])
    found = jax.eval_shape(lambda f: (f, f[..., 0], f[..., 0, 0]), filters)
    expected = {"layer": (3, 3, 32, 64), "filter": (3, 3, 32), "kernel": (3, 3)}
    return equal(expected, dict(zip(expected, (leaf.shape for leaf in found), strict=True)))


def sobel_as_in_scipy(sobel=convolution.sobel) -> Outcome:
    import scipy.ndimage

    rows, columns = np.mgrid[-15:16, -15:16]
    radius = np.hypot(rows, columns)
    disc = (radius < 10).astype(np.float64)
    gradient = sobel(disc)
    across, down = scipy.ndimage.sobel(disc, 1), scipy.ndimage.sobel(disc, 0)
    edges = np.asarray(gradient.magnitude) > 2
    computed = {
        "as scipy": max(difference(gradient.x, across), difference(gradient.y, down)) < 1e-6,
        "magnitude": difference(gradient.magnitude, np.hypot(across, down)) < 1e-5,
        "direction": difference(gradient.direction, np.arctan2(down, across)) < 1e-5,
        "edges at the rim only": bool(edges.any() and abs(radius[edges] - 10).max() < 1.5),
    }
    return equal(dict.fromkeys(computed, True), computed)


def two_directions(
    vertical=convolution.VERTICAL_LINE, horizontal=convolution.HORIZONTAL_LINE
) -> Outcome:
    upright = 0.1 * np.random.default_rng(0).normal(size=(15, 15))
    upright[:, 3::6] += 1
    lying = upright.T

    def energy(image, kernel):
        return float((convolution.correlate(image, kernel, "valid") ** 2).sum())

    smallest = min(
        energy(upright, vertical) / energy(upright, horizontal),
        energy(lying, horizontal) / energy(lying, vertical),
    )
    return above(10, smallest, "ratio of responses")


def planted_curve(curve=convolution.curve, correlate=convolution.correlate) -> Outcome:
    size, row, column = 7, 9, 14
    image = np.full((28, 28), 100.0) + np.random.default_rng(0).normal(size=(28, 28))
    image[row : row + size, column : column + size] += 155 * convolution.arc(size)
    response = np.abs(correlate(image, curve(size), "valid"))
    place = tuple(int(i) for i in np.unravel_index(response.argmax(), response.shape))
    far = response.copy()
    far[row - size + 1 : row + size, column - size + 1 : column + size] = 0
    off_curve = far.max() / response.max()
    expected = {"found at": (row, column), "elsewhere": "< 5 %"}
    computed = {"found at": place, "elsewhere": f"{off_curve:.1%}"}
    return Outcome(expected, computed, place == (row, column) and bool(off_curve < 0.05))


def patches_of_5x5(patches=convolution.patches) -> Outcome:
    image = np.arange(25.0).reshape(5, 5)
    computed = {
        "padded": patches(image, 3, padding="same").shape,
        "valid": len(patches(image, 3)),
        "valid, stride 2": len(patches(image, 3, 2)),
        "same, stride 2": len(patches(image, 3, 2, "same")),
        "the second": np.asarray(patches(image, 3)[1]).tolist(),
    }
    expected = {
        "padded": (25, 3, 3),
        "valid": 9,
        "valid, stride 2": 4,
        "same, stride 2": 9,
        "the second": [[1, 2, 3], [6, 7, 8], [11, 12, 13]],
    }
    return equal(expected, computed)


CHECKS = (
    Check("C07", "S0", "6x6, black and white halves, 3x3 Sobel: a bright band", sobel_on_a_step),
    Check("C08", "S0,S2,S4", "6x6 * 3x3 = 4x4: multiply by element and add", by_hand),
    Check("C09", "S0", "colour: (6,6,3)*(3,3,3) = 4x4x1; channels must match", colour),
    Check("C10", "S0,S1", "M filters give M feature maps", one_map_per_filter),
    Check("C11", "S4", "a kernel is 2-D, a filter a 3-D stack of kernels", kernels_and_filters),
    Check("C13", "S4", "Sobel: x, y, magnitude, direction; finds edges", sobel_as_in_scipy),
    Check("C14", "S1", "one filter finds vertical lines, another horizontal", two_directions),
    Check("C15", "S4", "a curve filter answers on its curve, about 0 elsewhere", planted_curve),
    Check("C16", "S4", "a padded 5x5 has 25 patches of 3x3", patches_of_5x5),
)
