"""A file of Keras is enough to rebuild its network; what would run code is refused."""

import json
import logging

import h5py
import jax
import numpy as np
import pytest

from cnnjax import data, transfer
from cnnjax.errors import InputError
from tests.test_transfer import correct

IMAGE = (None, 6, 6, 1)


def record(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, **config}}


def sequence(*layers, version="2.4.0"):
    layers[0]["config"]["batch_input_shape"] = IMAGE
    return {"class_name": "Sequential", "config": {"name": "s", "layers": list(layers)},
            "keras_version": version}  # fmt: skip


def small(**conv):
    return sequence(
        record("Conv2D", "first", filters=4, kernel_size=[3, 3], activation="relu", **conv),
        record("Flatten", "flat"),
        record("Dense", "last", units=3, activation="softmax"),
    )


def arrays(seed=0):
    draw = np.random.default_rng(seed).standard_normal
    return {"first": {"kernel": draw((3, 3, 1, 4)), "bias": draw(4)},
            "last": {"kernel": draw((64, 3)), "bias": draw(3)}}  # fmt: skip


def written(path, config=None, layers=None):
    """Writes a file as Keras 2 did; without a config, weights alone."""
    with h5py.File(path, "w") as file:
        root = file
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
            file.attrs["keras_version"] = config.get("keras_version", "2.4.0")
            root = file.create_group("model_weights")
        layers = arrays() if layers is None else layers
        root.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, variables in layers.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in variables]
            for name, values in variables.items():
                group[f"{layer}/{name}:0"] = np.float32(values)
    return path


def test_a_file_with_a_config_needs_no_name(tmp_path):
    module, variables = transfer.load(written(tmp_path / "m.h5", small()))
    x = np.random.default_rng(1).standard_normal((2, 6, 6, 1)).astype(np.float32)
    weights = arrays()
    patches = np.stack([x[:, i : i + 4, j : j + 4, 0] for i in range(3) for j in range(3)], -1)
    maps = patches @ weights["first"]["kernel"].reshape(9, 4) + weights["first"]["bias"]
    logits = np.maximum(maps, 0).reshape(2, -1) @ weights["last"]["kernel"]
    logits = logits + weights["last"]["bias"]
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(module.apply(variables, x), probabilities, rtol=1e-4, atol=1e-5)
    assert module.probabilities and hash(module) == hash(type(module)(module.plan))


@pytest.mark.parametrize("name", ("m.json", "m_config.json", "m.weights.h5.json", "config.json"))
def test_a_config_beside_weights_is_taken_and_said(tmp_path, caplog, name):
    (tmp_path / name).write_text(json.dumps(small()))
    (tmp_path / "other.json").write_text("[]")
    path = written(tmp_path / "m.weights.h5")
    with caplog.at_level(logging.WARNING):
        module, _ = transfer.load(path)
    assert len(module.plan.calls) == 4 and name in caplog.text


def test_weights_alone_say_what_they_hold(tmp_path):
    path = written(tmp_path / "m.weights.h5")
    with pytest.raises(InputError, match=r"weights alone.*first/first/bias:0 \(4,\)"):
        transfer.load(path)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (record("Lambda", "evil", function=["4wEAAAA=", None, None]), "evil: a Lambda holds code"),
        (record("TFSMLayer", "evil", filepath="/etc"), "SavedModel from another path"),
        (record("TorchModuleWrapper", "evil", module="gASV"), "a pickle"),
        ({**record("Conv2D", "mine"), "module": "os"}, "code of its author, in os"),
        (
            {**record("Dense", "mine"), "registered_name": "my>Dense"},
            "code of its author, my>Dense",
        ),
        (record("Conv2DD", "typo"), "Conv2DD is not known; did you mean Conv2D"),
        (record("StringLookup", "words", vocabulary="/etc/passwd"), "StringLookup is not known"),
        (record("Conv2D", "odd", filters=4, kernel_size=3, novelty=7), "novelty = 7 is not known"),
        (record("Activation", "act", activation="my_relu"), "my_relu"),
        (record("BatchNormalization", "n", renorm=True), "renormalises"),
    ],
)
def test_what_is_not_known_or_runs_code_is_named(tmp_path, layer, said):
    path = written(tmp_path / "m.h5", sequence(record("Flatten", "flat"), layer), {})
    with pytest.raises(InputError, match=said):
        transfer.load(path)


def test_arrays_missing_left_over_or_of_another_shape_are_errors(tmp_path):
    layers = arrays()
    with pytest.raises(InputError, match="last takes 2 arrays; the file holds 0"):
        transfer.load(written(tmp_path / "a.h5", small(), {"first": layers["first"]}))
    with pytest.raises(InputError, match="belong to no layer of the config: .*more"):
        transfer.load(written(tmp_path / "b.h5", small(), layers | {"more": layers["last"]}))
    with pytest.raises(InputError, match=r"misshapen +params/last/kernel +\(144, 3\)"):
        transfer.load(written(tmp_path / "c.h5", small(padding="same")))


def test_a_network_of_a_file_trains(tmp_path):
    config = small()
    config["config"]["layers"].insert(1, record("BatchNormalization", "norm"))
    config["config"]["layers"].insert(2, record("Dropout", "drop", rate=0.5))
    norm = {name: np.ones(4) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    module, variables = transfer.load(written(tmp_path / "m.h5", config, arrays() | {"norm": norm}))
    x = np.ones((2, 6, 6, 1), np.float32)
    key = {"dropout": jax.random.key(0)}
    trained, moved = module.apply(variables, x, train=True, rngs=key, mutable=["batch_stats"])
    assert np.abs(trained - module.apply(variables, x)).max() > 1e-3
    mean = moved["batch_stats"]["norm"]["mean"]
    assert np.abs(mean - variables["batch_stats"]["norm"]["mean"]).max() > 1e-3


def tutorial(**conv):
    """`one_block_cnn` for 6x6 images as Keras has it, except for `conv`."""
    conv = {"filters": 32, "kernel_size": [3, 3], "activation": "relu"} | conv
    layers = [record("Conv2D", "conv2d", **conv), record("MaxPooling2D", "pool"),
              record("Flatten", "flat"), record("Dense", "dense", units=128, activation="relu"),
              record("Dense", "dense_1", units=10, activation="softmax")]  # fmt: skip
    draw = np.random.default_rng(0).standard_normal
    weights = {"conv2d": (3, 3, 1, 32), "dense": (128, 128), "dense_1": (128, 10)}
    weights = {name: {"kernel": draw(shape), "bias": draw(shape[-1])}
               for name, shape in weights.items()}  # fmt: skip
    return sequence(*layers), weights


def test_a_named_network_is_held_to_the_config_of_the_file(tmp_path):
    def named(*model, **fields):
        path = written(tmp_path / "m.h5", *model)
        return transfer.load("one_block_cnn", path, input_shape=(6, 6, 1), **fields)

    named(*tutorial())
    with pytest.raises(InputError, match="act is 'relu' here, there 'tanh' and 'relu'"):
        named(*tutorial(activation="tanh"))
    config, weights = tutorial()
    config["config"]["layers"][1]["class_name"] = "AveragePooling2D"
    with pytest.raises(InputError, match=r"pool is 'max' here, there 'average'.*pool='average'"):
        named(config, weights)
    named(config, weights, pool="average")
    config, weights = tutorial()
    config["config"]["layers"].insert(1, record("ReLU", "clip", max_value=0.5))
    with pytest.raises(InputError, match=r"config is of another function.*Use load\('"):
        named(config, weights)


# The counts are those of ../shared/weights/README.md.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "name", "scale", "count"),
    [
        ("keras2.3.1_lenet_Rye-Catcher.h5", "mnist", 1, 9784),
        ("keras2.3.1_mnist_ikukang.h5", "mnist", 255, 9908),
        ("keras_mnist_Gurdeepsingh.h5", "mnist", 255, 9876),
        ("keras_mnist_Gurdeepsingh.keras", "mnist", 255, 9876),
        ("keras_mnist_mlp_SannMyatMin.keras", "mnist", 255, 9797),
        ("keras2.4_resnet8_mlcommons.h5", "cifar10", 1, 7548),
    ],
)
def test_real_files_are_right_by_their_path_alone(shared, file, name, scale, count):
    module, variables = transfer.load(shared / "weights" / file)
    test = data.load(name, data_dir=str(shared / "tfds")).test
    images = test.images.reshape(-1, *module.plan.shapes[0]) / np.float32(scale)
    assert correct(module, variables, images, test.targets["label"]) == count
