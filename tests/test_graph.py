"""Results of layers by name, looked at and changed, in networks that know nothing of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import compiler, models
from cnnjax.errors import InputError
from cnnjax.structure import graph as graphs
from cnnjax.structure import layers


def traced(name, shape, **fields):
    module = models.build(name, 10, **fields)
    inputs = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    variables = jax.jit(module.init)(jax.random.key(0), inputs)
    return module, variables, inputs, graphs.traced(module, variables, shape)


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "squeezenet1_1"])
def test_every_layer_of_the_summary_has_a_result(name):
    fields = {"blocks": 1} if name == "resnet20" else {}
    shape = (1, 28, 28, 1) if name == "lenet5" else (1, 40, 40, 3)
    module = models.build(name, 10, **fields)
    variables = models.check_input(module, shape[1:])
    graph = graphs.traced(module, variables, shape)
    for layer in layers.trace(module, shape[1:]).layers:
        if layer.kind not in ("Flatten", "Dropout"):
            assert graph.shape(layer.name)[1:] == layer.shape, layer.name


def test_modules_have_a_result_too_and_come_after_what_they_consist_of():
    _, _, _, graph = traced("resnet20", (2, 16, 16, 3), blocks=1)
    names = list(graph.layers)
    inside = [names.index(f"stage2_block1/conv2/{part}") for part in ("conv", "norm")]
    assert max(inside) < names.index("stage2_block1/conv2") < names.index("stage2_block1")
    assert graph.spatial[-1] == "stage3_block1"
    assert graph.rectifiers == 7


@pytest.mark.parametrize("plain", [True, False])
def test_a_run_returns_what_the_network_does(plain):
    module, variables, inputs, graph = traced("resnet20", (2, 16, 16, 3), blocks=1)
    outputs, seen = jax.jit(lambda v, x: graphs.run(graph, v, x, ("stem", "stage3_block1")))(
        variables, inputs
    )

    def wanted(variables, inputs):
        return module.apply(variables, inputs, capture_intermediates=True)

    if plain:
        with compiler.plainly():
            logits, state = jax.jit(wanted)(variables, inputs)
    else:
        logits, state = jax.jit(wanted)(variables, inputs)
    np.testing.assert_allclose(outputs, logits, rtol=1e-5, atol=1e-4)
    for name in seen:
        captured = state["intermediates"][name]["__call__"][0]
        np.testing.assert_allclose(seen[name], captured, rtol=1e-5, atol=1e-5)


def test_a_change_is_felt_by_what_follows_once():
    _, variables, inputs, graph = traced("lenet5", (2, 28, 28, 1))
    look = ("c1", "average_pool", "c3")
    plain, before = graphs.run(graph, variables, inputs, look)
    doubled, after = graphs.run(graph, variables, inputs, look, {"average_pool": lambda x: 2 * x})
    np.testing.assert_array_equal(after["average_pool"], before["average_pool"])
    bias = variables["params"]["c3"]["bias"]
    np.testing.assert_allclose(after["c3"] - bias, 2 * (before["c3"] - bias), rtol=1e-4, atol=1e-5)
    assert np.abs(doubled - plain).max() > 1e-3


def test_a_rectifier_takes_the_place_of_every_relu():
    _, variables, inputs, graph = traced("first_convnet", (2, 28, 28, 1))
    names = []

    def linear(name, x):
        names.append(name)
        return x

    _, seen = graphs.run(graph, variables, inputs, ("max_pool",), rectifier=linear)
    assert names == ["relu"] * graph.rectifiers == ["relu"] * 4
    assert (seen["max_pool"] < 0).any()


def test_the_gradient_is_that_of_the_network():
    module, variables, inputs, graph = traced("first_convnet", (1, 28, 28, 1))
    ours = jax.grad(lambda x: graphs.run(graph, variables, x)[0][0, 3])(inputs)
    theirs = jax.grad(lambda x: module.apply(variables, x)[0, 3])(inputs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_an_unknown_layer_is_refused_with_the_nearest():
    _, _, _, graph = traced("lenet5", (1, 28, 28, 1))
    assert graphs.find(graph, None, graph.spatial) == "average_pool_1"
    with pytest.raises(InputError, match="no layer 'avgpool'; did you mean average_pool"):
        graphs.find(graph, "avgpool")
    with pytest.raises(InputError, match="no layer with places 'f5'"):
        graphs.find(graph, "f5", graph.spatial)
