"""Files of PyTorch hold no graph: what their tensors do not tell is asked for, or said aloud."""

import logging
import re

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from cnnjax import models, transfer, tree
from cnnjax.errors import InputError
from cnnjax.transfer import checkpoint
from cnnjax.transfer.inert import Inert, stand_in


def layer(out, into, kernel=0, seed=0):
    """Returns weight and bias of a layer in torch's layout."""
    generator = np.random.default_rng(seed)
    shape = (out, into, kernel, kernel) if kernel else (out, into)
    return {
        "weight": generator.standard_normal(shape, np.float32),
        "bias": generator.standard_normal(out).astype(np.float32),
    }


def network(**layers):
    return {f"{name}.{k}": v for name, one in layers.items() for k, v in one.items()}


def lenet(channels=1, c5=None):
    return network(conv1=layer(6, channels, 5), conv2=layer(16, 6, 5),
                   fc1=c5 or layer(120, 400), fc2=layer(84, 120), fc3=layer(10, 84))  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(tensors, name="file.safetensors"):
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, tmp_path / name)
        return tmp_path / name

    return write


def calls(message):
    return [line.strip() for line in message.splitlines() if line.startswith("  transfer.load(")]


def test_a_file_that_fits_several_functions_is_refused_with_calls_that_work(written):
    path = written(lenet())
    for arguments in (("lenet5", path), (path,)):
        with pytest.raises(InputError, match="several functions") as raised:
            transfer.load(*arguments)
        found = calls(str(raised.value))
        assert len(set(found)) == len(found) >= 4
        assert any("act='relu', pool='max'" in call for call in found)
        assert any("act='tanh', pool='average'" in call for call in found)
        for call in found:
            module, variables = eval(call, {"transfer": transfer})
            shape = eval(re.search(r"input_shape=(\(.*?\))", call)[1])
            assert module.apply(variables, jnp.zeros((1, *shape))).shape == (1, 10)


def test_a_colour_file_is_not_taken_for_one_of_digits(written):
    path = written(lenet(channels=3))
    with pytest.raises(InputError, match="several functions") as raised:
        transfer.load("lenet5", path, act="relu", pool="max")
    assert "padding='valid'" in calls(str(raised.value))[0]  # 32x32 first: CIFAR's
    module, _ = transfer.load("lenet5", path, act="relu", pool="max", padding="valid")
    assert module.padding == "valid" and module.act == "relu"


def test_what_shapes_determine_is_filled_in_and_the_rest_said(written, caplog):
    tensors = network(
        conv1=layer(8, 1, 3), conv2=layer(12, 8, 3), fc=layer(20, 12 * 49), out=layer(7, 20)
    )
    fields = {"padding": "same", "pool_last": True, "input_shape": (28, 28, 1), "pool_size": 2}
    with caplog.at_level(logging.WARNING):
        module, variables = transfer.load("first_convnet", written(tensors), **fields)
    assert module == models.build(
        "first_convnet", 7, blocks=((8,), (12,)), units=(20,), padding="same", pool_last=True
    )
    assert "act='relu'; pool='max'" in caplog.text
    np.testing.assert_array_equal(
        variables["params"]["head"]["kernel"], tensors["out.weight"].transpose()
    )


def test_the_order_of_a_safetensors_file_says_nothing(written):
    """`bn1` and `classifier` come before `conv1` and `features` in the alphabet."""
    norm = {k: np.arange(4, dtype=np.float32) + 1 for k in
            ("weight", "bias", "running_mean", "running_var")}  # fmt: skip
    tensors = network(features=layer(4, 1, 3), bn1=norm, classifier=layer(5, 4 * 14 * 14))
    module, variables = transfer.load(
        "one_block_cnn", written(tensors), padding="same", pool_last=True, pool_size=2,
        input_shape=(28, 28, 1),
    )  # fmt: skip
    assert module.norm == "batch" and module.blocks == ((4,),) and module.units == ()
    unit = variables["params"]["block1_conv1"]
    np.testing.assert_array_equal(unit["norm"]["scale"], norm["weight"])
    np.testing.assert_array_equal(unit["conv"]["bias"], tensors["features.bias"])


def test_a_difference_is_shown_in_the_shapes_of_the_file(written):
    tensors = lenet() | network(fc2=layer(84, 119))
    with pytest.raises(InputError) as raised:
        transfer.load("lenet5", written(tensors), act="relu", pool="max")
    text = " ".join(str(raised.value).split())
    assert "fc2.weight (84, 120) found (84, 119)" in text
    assert text.count("misshapen") == 1


def test_our_own_leaves_are_a_format(written):
    module = models.build("lenet5", 4)
    leaves = tree.shapes(models.check_input(module, (28, 28, 1)))
    tensors = {k: np.random.default_rng(1).standard_normal(s, np.float32)
               for k, s in leaves.items()}  # fmt: skip
    found, variables = transfer.load("lenet5", written(tensors))
    assert found == module
    for name, values in tree.flatten(variables).items():
        np.testing.assert_array_equal(values, tensors[name])


ONE, TWO = {"a.weight": np.ones((2, 2))}, {"a.weight": np.zeros((2, 2))}


def test_a_checkpoint_is_searched_for_its_one_dict_of_tensors():
    momenta = {"state": {0: {"exp_avg": np.ones((2, 2))}}, "param_groups": [{"lr": 0.1}]}
    saved = {"epoch": 3, "net": {"inner": ONE}, "optimizer": momenta, "loss": np.array(0.5)}
    assert checkpoint.state_dict("f", saved) == ONE
    with pytest.raises(InputError, match="found none"):
        checkpoint.state_dict("f", {"epoch": 3})


def test_two_state_dicts_are_an_error_that_names_both():
    saved = {"state_dict": ONE, "model_ema": TWO}
    with pytest.raises(InputError, match="several: state_dict, model_ema; .*select='ema'"):
        checkpoint.state_dict("f", saved)
    assert checkpoint.state_dict("f", saved, "ema") == TWO
    assert checkpoint.state_dict("f", saved, "state_dict") == ONE
    with pytest.raises(InputError, match="select='swa' fits 0 .*'state_dict', 'model_ema'"):
        checkpoint.state_dict("f", saved, "swa")


def test_a_stand_in_can_be_filled_and_nothing_else():
    kind = stand_in("os", "system")
    with pytest.raises(InputError, match=r"refused os\.system"):
        kind("touch /tmp/x")
    with pytest.raises(InputError, match="refused to change"):
        kind.__call__ = print
    made = kind.__new__(kind)
    made.__setstate__({"_parameters": {"w": np.ones(2)}, "_modules": {}})
    assert isinstance(made, Inert)
    assert list(checkpoint.tensors_of_module(made)) == [("w", made.state["_parameters"]["w"])]
    with pytest.raises(InputError, match="refused to change"):
        made.state = {}


@pytest.mark.parametrize("prefix", ("module.", "_orig_mod.module.", "net.", "encoder.backbone."))
def test_prefixes_and_foreign_keys_are_left_aside(prefix):
    wanted = ["conv1.weight", "fc.weight"]
    tensors = {f"{prefix}{n}": np.ones((1, 1)) for n in wanted} | {"loss.weight": np.ones(3)}
    assert checkpoint.prefix_of(wanted, tensors) == prefix
