"""Files that Keras wrote before its third version: layers are told apart by class and order."""

import h5py
import numpy as np
import pytest

from cnnjax import transfer
from cnnjax.errors import InputError


def keras_file(path, layers, pieces=1):
    """Writes {layer: {variable: values}} in the layout before Keras 3."""
    with h5py.File(path, "w") as file:
        names = [name.encode() for name in layers]
        for i in range(pieces):
            file.attrs[f"layer_names{i}" if pieces > 1 else "layer_names"] = names[i::pieces]
        for layer, variables in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in variables]
            for name, values in variables.items():
                group[f"{layer}/{name}:0"] = values
    return path


def one_block(*names):
    """The layers of `one_block_cnn` for 6x6 images, under these names."""
    conv, dense, head = names
    values = np.random.default_rng(0)
    return {
        head: {"kernel": values.random((128, 10)), "bias": values.random(10)},
        conv: {"kernel": values.random((3, 3, 1, 32)), "bias": values.random(32)},
        "flatten": {},
        dense: {"kernel": values.random((128, 128)), "bias": values.random(128)},
    }


@pytest.mark.parametrize("pieces", (1, 2))
@pytest.mark.parametrize(
    "names", [("conv2d", "dense", "dense_1"), ("conv2d_7", "dense_9", "dense_10")], ids=str
)
def test_names_that_keras_made_up_only_order_the_layers_of_a_class(tmp_path, names, pieces):
    layers = one_block(*names)
    path = keras_file(tmp_path / "old.h5", layers, pieces)
    _, variables = transfer.load("one_block_cnn", path, input_shape=(6, 6, 1))
    for ours, theirs in zip(("block1_conv1", "dense1", "head"), names, strict=True):
        for leaf, values in layers[theirs].items():
            np.testing.assert_array_equal(variables["params"][ours][leaf], np.float32(values))


def test_a_layer_with_a_name_of_its_own_is_not_taken_for_another(tmp_path):
    path = keras_file(tmp_path / "old.h5", one_block("features", "dense", "dense_1"))
    with pytest.raises(InputError) as raised:
        transfer.load("one_block_cnn", path, input_shape=(6, 6, 1))
    lines = [" ".join(line.split()) for line in str(raised.value).splitlines()[1:]]
    assert lines == [
        "missing params/block1_conv1/kernel <- conv2d:0/0 (3, 3, 1, 32)",
        "missing params/block1_conv1/bias <- conv2d:0/1 (32,)",
        "left over features/0 (3, 3, 1, 32)",
        "left over features/1 (32,)",
    ]
