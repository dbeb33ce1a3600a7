"""U-Net, over its own encoder and over others."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnnjax import models, tree
from cnnjax.errors import InputError
from cnnjax.layers.upsample import UpConv, repeated
from cnnjax.models import backbones, unet
from tests import thin_networks

pytestmark = pytest.mark.usefixtures("quick_compilation")


def shapes(module, *shape):
    images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), images)
    return jax.eval_shape(module.apply, variables, images).shape, variables


def test_figure_1_of_the_paper():
    """572 pixels give 388; the other sizes of the figure stand on its arrows."""
    module = models.build("unet", 2, mirror=False)
    assert shapes(module, 572, 572, 1)[0] == (1, 388, 388, 2)
    assert unet.sides(388, 4) == (572, 388) and unet.sides(1, 4) == (188, 4)
    with pytest.raises(InputError, match="must be 188 and a multiple of 16 more"):
        shapes(module, 580, 572, 1)


@pytest.mark.parametrize("name", ["unet", "unet_padded"])
def test_every_pixel_gets_logits_whatever_the_size(name):
    module = models.build(name, 3, width=2)
    for size in ((197, 233, 1), (16, 30, 3), (48, 48, 1)):
        assert shapes(module, *size)[0] == (1, *size[:2], 3)


def test_the_mirror_of_an_image_gives_what_lies_beyond_it():
    """Figure 2: logits of a tile are those of the tile with its surroundings, without mirror."""
    tile = models.build("unet", 2, width=2, depth=1)
    plain = models.build("unet", 2, width=2, depth=1, mirror=False)
    images = np.random.default_rng(0).standard_normal((1, 12, 16, 1), np.float32)
    variables = thin_networks.drawn(tree.shapes(shapes(tile, 12, 16, 1)[1]))
    around = np.pad(images, ((0, 0), (8, 8), (8, 8), (0, 0)), "reflect")
    found, wanted = tile.apply(variables, images), plain.apply(variables, around)
    assert wanted.shape == (1, 12, 16, 2)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_an_up_convolution_is_flax_transposed_one():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4), np.float32)
    module = UpConv(6)
    variables = thin_networks.drawn({"params/kernel": (2, 2, 4, 6), "params/bias": (6,)})
    # Whose kernel lies the other way round.
    turned = jax.tree.map(lambda k: k[::-1, ::-1] if k.ndim > 1 else k, variables)
    wanted = nn.ConvTranspose(6, (2, 2), (2, 2), padding="VALID").apply(turned, x)
    np.testing.assert_allclose(module.apply(variables, x), wanted, rtol=1e-5, atol=1e-5)


def test_an_up_convolution_starts_as_large_as_its_input():
    """He's rule for a sum over the channels: the mean square doubles, which a ReLU halves."""
    x = np.random.default_rng(0).standard_normal((1, 8, 8, 256), np.float32)
    y, _ = UpConv(128).init_with_output(jax.random.key(0), x)
    assert float(jnp.mean(y**2)) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(
    ("own", "wanted"), [((3, 4), (6, 8)), ((3, 4), (5, 8)), ((3, 4), (7, 9)), ((4, 4), (4, 4))]
)
def test_maps_are_repeated_to_a_size(own, wanted):
    x = np.random.default_rng(0).standard_normal((2, *own, 3), np.float32)
    rows, columns = (
        np.minimum(np.arange(n) // max(1, round(n / m)), m - 1)
        for n, m in zip(wanted, own, strict=True)
    )
    np.testing.assert_array_equal(repeated(x, wanted), x[:, rows][:, :, columns])


def test_maps_of_no_simple_ratio_are_repeated_by_the_nearest_pixel():
    x = np.arange(5, dtype=np.float32).reshape(1, 5, 1, 1)
    assert repeated(x, (12, 1)).ravel().tolist() == [0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4]


def test_a_classifiers_weights_fit_the_encoder():
    fields = {"blocks": 1, "width": 4}
    classifier = models.build("resnet20", 10, **fields)
    given = {f"backbone_{name}": value for name, value in fields.items()}
    module = models.build("unet_backbone", 3, backbone="resnet20", width=4, **given)
    shape, variables = shapes(module, 33, 40, 3)
    assert shape == (1, 33, 40, 3)
    weights = thin_networks.drawn(tree.shapes(models.check_input(classifier, (33, 40, 3))))
    found = backbones.fitted(variables, weights)
    theirs = weights["params"]["stage3_block1"]["conv1"]["conv"]["kernel"]
    assert found["params"]["backbone"]["stage3_block1"]["conv1"]["conv"]["kernel"] is theirs


SLOW = ("googlenet", "inception_v3", "resnet50_v2", "xception")


@pytest.mark.parametrize(
    "name",
    ["alexnet", "first_convnet", "vgg11", *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)],
)
def test_any_classifier_can_be_the_encoder(name):
    module = models.build("unet_backbone", 5, backbone=name)
    shape, variables = shapes(module, 101, 120, 3)
    assert shape == (1, 101, 120, 5)
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(variables["params"]["backbone"])) > 0
