"""Weights under the names of others: our own readers find the same network in them."""

import numpy as np
import pytest

from cnnjax import export, models, tree
from cnnjax.errors import InputError
from cnnjax.evaluation import opened
from cnnjax.evaluation.trained import Trained
from cnnjax.images import Preprocessing
from cnnjax.tasks import TASKS
from cnnjax.transfer import load, read, record
from tests.test_keras_models import small, written


def network(name, shape, classes=10, **fields):
    """Returns a network whose weights are drawn."""
    module = models.build(name, classes, **fields)
    generator = np.random.default_rng(0)
    shapes = tree.shapes(models.check_input(module, shape))
    leaves = {k: np.float32(np.abs(generator.normal(size=s))) for k, s in shapes.items()}
    names = tuple(f"class {i}" for i in range(classes))
    return Trained(
        TASKS["classification"], module, tree.unflatten(leaves),
        Preprocessing(size=shape[:2], channels=shape[2]), shape, names, {}, 0, {},
        record.recipe(name, module), "drawn",
    )  # fmt: skip


def same(found, wanted):
    found, wanted = tree.flatten(found), tree.flatten(wanted)
    assert found.keys() == wanted.keys()
    for leaf, values in wanted.items():
        np.testing.assert_array_equal(found[leaf], values, err_msg=leaf)


@pytest.mark.parametrize(
    ("name", "shape", "fields"),
    [
        ("resnet20", (32, 32, 3), {}),
        ("mobilenet_v2", (32, 32, 3), {"dialect": "torch"}),
        ("squeezenet1_1", (32, 32, 3), {"dialect": "torch"}),
    ],
)
def test_a_state_dict_of_ours_is_the_network_again(tmp_path, name, shape, fields):
    ours = network(name, shape, **fields)
    export.write(ours, "torch", path := tmp_path / "x.pth")
    same(load(name, path, **fields)[1], ours.variables)


@pytest.mark.parametrize(
    ("name", "fields"), [("lenet5", {}), ("first_convnet", {}), ("mnist_cnn", {"norm": "batch"})]
)
def test_weights_of_keras_are_the_stack_again(tmp_path, name, fields):
    ours = network(name, (28, 28, 1), **fields)
    export.write(ours, "keras", path := tmp_path / "x.weights.h5")
    same(load(name, path, **fields)[1], ours.variables)


@pytest.mark.parametrize(
    ("ours", "form", "said"),
    [
        (("lenet5", (28, 28, 1)), "torch", "torch has no lenet5"),
        (("resnet20", (32, 32, 3)), "keras", "keras has no resnet20"),
        (
            ("mobilenet_v1", (32, 32, 3)),
            "torch",
            "is another function.*--config.model.dialect=timm",
        ),
        (("resnet18", (32, 32, 3), 10, {"blocks": (1, 1, 1, 1)}), "torch", "blocks is"),
        (("lenet5", (28, 28, 1)), "keras", "end with .weights.h5"),
    ],
    ids=str,
)
def test_what_has_no_namesake_is_refused_with_what_is_allowed(tmp_path, ours, form, said):
    fields = ours[3] if len(ours) > 3 else {}
    drawn = network(*ours[:3], **fields)
    with pytest.raises(InputError, match=said) as raised:
        export.write(drawn, form, tmp_path / ("x.pth" if "end" in said else "x.weights.h5"))
    assert "weights.h5" in str(raised.value) or "safetensors holds any" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_network_that_keras_describes_goes_on_as_safetensors(tmp_path):
    written(tmp_path / "theirs.h5", small())
    theirs = opened.network(tmp_path / "theirs.h5")
    export.write(theirs, "safetensors", path := tmp_path / "ours.safetensors")
    ours = opened.network(path)
    same(ours.variables, theirs.variables)
    assert ours.module == theirs.module and ours.class_names == theirs.class_names
    assert read(path)[0] == "ours"
    with pytest.raises(InputError, match="a network of its own"):
        export.write(theirs, "torch", tmp_path / "x.pth")
