"""Networks by name: what `build` and `check_input` accept, and how they refuse."""

import jax
import jax.numpy as jnp
import pytest

from cnnjax import models
from cnnjax.errors import InputError
from cnnjax.structure import layers
from tests import thin_networks
from tests.thin_networks import THIN

POOLING = [label for label in THIN if hasattr(thin_networks.module(label), "pool")]
GLOBAL = [label for label in THIN if hasattr(thin_networks.module(label), "global_pool")]


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("resnet5", {}, "unknown network 'resnet5'; did you mean resnet56, resnet50"),
        (
            "resnet50",
            {"dialect": "tensorflow"},
            "has no dialect 'tensorflow'; it has keras, timm, ",
        ),
        ("lenet5", {"dialect": "keras"}, "lenet5 has no dialect 'keras'; it has none"),
        ("mobilenet_v2", {"widht": 0.5}, "mobilenet_v2 has no field 'widht'; did you mean width?"),
        ("mobilenet_v2", {"width": "0.5"}, "mobilenet_v2.width must be float"),
        ("resnet50", {"blocks": 3}, "resnet50.blocks must be tuple"),
        ("resnet50", {"conv_bias": 1}, "resnet50.conv_bias must be bool"),
        ("resnet50", {"classes": 0}, "classes must be an integer of at least 1, not 0"),
        ("resnet50", {"classes": True}, "classes must be an integer of at least 1, not True"),
    ],
)
def test_build_refuses_with_a_sentence(name, fields, message):
    with pytest.raises(InputError) as caught:
        models.build(name, **fields)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("resnet18", {"act": "rleu"}, "unknown activation 'rleu'; did you mean relu"),
        (
            "resnet18",
            {"norm": "batchnorm"},
            "unknown normalisation 'batchnorm'; did you mean batch",
        ),
        ("resnet18", {"pool": "avg"}, "unknown pooling 'avg'; did you mean average"),
        ("resnet50", {"stride_on": "2x2"}, "unknown stride_on '2x2'"),
        ("resnet50_v2", {"stride_in": "middle"}, "unknown stride_in 'middle'"),
        ("resnet20", {"shortcut": "C"}, "unknown shortcut 'C'"),
        ("nasnet_mobile", {"features": 1000}, "features must be a multiple of 96, not 1000"),
    ],
)
def test_a_field_without_meaning_is_refused_before_compilation(name, fields, message):
    with pytest.raises(InputError, match=message):
        models.check_input(models.build(name, 10, **fields), (64, 64, 3))


@pytest.mark.parametrize("dialect", ["keras", "torch", "timm"])
def test_a_dialect_gives_way_to_fields_and_fields_to_nothing(dialect):
    module = models.build("mobilenet_v2", dialect=dialect, dropout_rate=0.7, rows=[[1, 16, 1, 1]])
    assert module.symmetric == (dialect != "keras")
    assert module.dropout_rate == 0.7 and module.rows == ((1, 16, 1, 1),)
    assert models.build("mobilenet_v2", axis_name="data").axis_name == "data"


@pytest.mark.parametrize("name", models.MODELS)
def test_every_dialect_of_every_name_can_be_built(name):
    for dialect in models.DIALECTS[name]:
        models.build(name, dialect=dialect)


@pytest.mark.parametrize(
    ("name", "fields", "smallest"),
    # `min_size` of torchvision 0.28.0's weights.
    [("densenet121", {"blocks": (1, 1, 1, 1)}, 29), ("squeezenet1_1", {}, 17), ("vgg11", {}, 32)],
)
def test_too_small_images_are_refused_with_the_smallest_allowed(name, fields, smallest):
    module = models.build(name, 10, **fields)
    models.check_input(module, (smallest, smallest, 3))
    models.check_input(module, (smallest, smallest + 20, 1))
    for side in (1, 4, 10, smallest - 1):
        message = f"^{side}x99 images are too small for this network; the smallest are "
        with pytest.raises(InputError, match=f"{message}{smallest}x{smallest}$"):
            models.check_input(module, (side, 99, 3))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "mobilenet_v2"])
def test_the_smallest_image_may_be_a_pixel(name):
    """As torchvision 0.28.0 says of these: min_size (1, 1)."""
    models.check_input(models.build(name), (1, 1, 3))


@pytest.mark.parametrize("shape", [(32, 32), (0, 32, 3), (1, 32, 32, 3)])
def test_images_have_three_dimensions_of_at_least_one(shape):
    with pytest.raises(InputError, match="images are"):
        models.check_input(models.build("resnet20", 10), shape)


def test_an_error_that_size_does_not_cure_keeps_its_words():
    with pytest.raises(InputError, match="unknown activation"):
        models.check_input(models.build("vgg11", act="rleu"), (8, 8, 3))


@pytest.mark.parametrize("label", POOLING)
def test_the_pooling_is_the_one_chosen(label):
    _, side, channels, _ = THIN[label]
    found = layers.trace(thin_networks.module(label, pool="geometric"), (side, side, channels))
    assert "GeometricPool" in {layer.kind for layer in found.layers}


@pytest.mark.parametrize("label", GLOBAL)
def test_the_global_pooling_is_the_one_chosen(label):
    _, side, channels, _ = THIN[label]
    found = layers.trace(thin_networks.module(label, global_pool="max"), (side, side, channels))
    kinds = {layer.kind for layer in found.layers}
    assert "GlobalMaxPool" in kinds and "GlobalAveragePool" not in kinds


def test_checking_an_input_allocates_nothing():
    before = sum(array.nbytes for array in jax.live_arrays())
    shapes = models.check_input(models.build("vgg19"), (224, 224, 3))
    held = sum(array.nbytes for array in jax.live_arrays()) - before
    assert held < 1000 and shapes["params"]["fc1"]["kernel"].dtype == jnp.float32
