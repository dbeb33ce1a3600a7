"""What the comparison of logits does not reach: auxiliary classifiers, and Keras' older file."""

from __future__ import annotations

import numpy as np
import pytest

from cnnjax import transfer, tree
from tests.oracles import compare, pair
from tests.oracles.test_breaks import CASES
from tests.oracles.test_oracles import FLOAT32

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("name", "side", "heads"),
    [
        ("googlenet", 96, {"aux1": ("aux1", "inception4a"), "aux2": ("aux2", "inception4d")}),
        # Its convolution takes the whole of a 5x5 map, which only images of full size leave.
        ("inception_v3", 299, {"aux": ("AuxLogits", "Mixed_6e")}),
    ],
)
def test_auxiliary_classifiers_give_the_logits_of_torchvisions(name, side, heads, tmp_path):
    both = pair.make(CASES[f"{name}-torchvision"], side, tmp_path)
    network, variables = both.ours(auxiliary=True)
    _, taken = network.apply(variables, both.images, train=False, mutable=["auxiliary"])
    for ours, (theirs, after) in heads.items():
        _, maps = both.framework.outputs(both.model, both.images, {"maps": after})
        expected = both.framework.applied(both.model, theirs, maps["maps"])
        found = taken["auxiliary"][ours]["logits"][0]
        assert compare.relative(found, expected) < FLOAT32, ours


@pytest.mark.parametrize("name", ("mobilenet_v2", "xception", "inception_v3"))
def test_the_older_h5_of_keras_holds_the_same_as_the_newer_files(name, tmp_path):
    both = pair.make(CASES[f"{name}-keras"], 96, tmp_path)
    both.model.save(older := tmp_path / "older.h5")
    newer, found = both.ours()[1], transfer.load(name, older)[1]
    assert tree.flatten(found).keys() == tree.flatten(newer).keys()
    for leaf, values in tree.flatten(newer).items():
        np.testing.assert_array_equal(tree.flatten(found)[leaf], values, err_msg=leaf)
