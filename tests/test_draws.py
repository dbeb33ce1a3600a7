"""Weights drawn by shared programs have the bits that JAX draws, and compile next to nothing."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from cnnjax import caches, compiler, draws, models, threefry
from cnnjax.layers import INITIALIZERS, Conv, ConvBN, Dense
from cnnjax.layers.upsample import he_normal

KEY = jax.random.key(7)
APART = nn.initializers.variance_scaling(2, "fan_in", "truncated_normal", batch_axis=(0, 1))
# One of each family. Airbench fits its weights to its shapes, and compiles those.
DEEP = (
    "alexnet", "densenet121", "googlenet", "inception_v3", "inception_resnet_v2", "mobilenet_v1",
    "mobilenet_v2", "nasnet_large", "resnet50", "resnet50_v2", "resnext50_32x4d", "vgg11_bn",
    "xception",
)  # fmt: skip


def words(leaf):
    """Returns an array's bits, and what else must be equal."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return leaf.shape, leaf.dtype, leaf.weak_type, np.asarray(leaf).tobytes()


def check(function, key=KEY):
    """Holds `draws.program` to the plain program, bit by bit; returns what both gave."""
    found, expected = draws.program(function)(key), compiler.jit(function)(key)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert words(x) == words(y)
    return found


def cuts(function):
    """Returns how many results of a function are cut from rows, and how many are compiled."""
    traced, structure, noted = draws.trace(function, jax.ShapeDtypeStruct(KEY.shape, KEY.dtype))
    ways = draws.ways_of(traced, traced.jaxpr.outvars[: structure.num_leaves], noted)
    return [sum(isinstance(w, kind) for w in ways) for kind in (draws.Cut, draws.core.Var)]


class Network(nn.Module):
    """Units, a dense layer larger than a row and not a multiple of one, and a plain one of Flax."""

    unit: type[nn.Module] = ConvBN

    @nn.compact
    def __call__(self, x):
        x = self.unit(8, name="stem")(x)
        x = Dense(37, name="dense")(x.reshape(len(x), -1))
        return nn.Dense(3, name="head")(x)


def start(key, module=None):
    """Returns variables, the state of an optimiser, and a key."""
    first, rest = jax.random.split(key)
    variables: Any = (module or Network()).init(first, jnp.zeros((1, 12, 12, 3)))
    return variables, optax.adam(1e-3).init(variables["params"]), rest


def test_a_network_starts_as_the_plain_program_has_it():
    variables, _, _ = check(start)
    kernel = variables["params"]["dense"]["kernel"]
    assert kernel.size > draws.ROW
    assert kernel.size % draws.ROW
    assert cuts(start) == [2, 2], (
        "the stem and the dense layer; the head, which is Flax', and a key"
    )


@pytest.mark.parametrize(
    "name",
    [
        "lenet5",
        "resnet20",
        "squeezenet1_1",
        *(pytest.param(n, marks=pytest.mark.slow) for n in DEEP),
    ],
)
def test_a_network_has_nothing_to_compile(name):
    module = models.MODELS[name]()
    size = 28 if name == "lenet5" else 299
    images = jnp.zeros((1, size, size, 3))
    found, compiled = cuts(lambda key: module.init(key, images, train=False)["params"])
    assert found > 0
    assert compiled == 0


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_initialisation_draws_what_it_draws_elsewhere(name):
    def drawn(key):
        return INITIALIZERS[name](jax.random.fold_in(key, 3), (3, 3, 5, 90), jnp.float32)

    assert cuts(drawn) == ([0, 1] if name == "orthogonal" else [1, 0])
    expected = getattr(nn.initializers, name)()(jax.random.fold_in(KEY, 3), (3, 3, 5, 90))
    assert words(draws.program(drawn)(KEY)) == words(expected)


def test_an_up_convolution_draws_what_that_of_flax_draws():
    def drawn(key):
        return he_normal(jax.random.fold_in(key, 3), (2, 2, 5, 90))

    expected = APART(jax.random.fold_in(KEY, 3), (2, 2, 5, 90))
    assert cuts(drawn) == [1, 0]
    assert words(draws.program(drawn)(KEY)) == words(expected)


def test_a_second_network_compiles_no_draw(tmp_path):
    draws.program(start)(KEY)
    count = caches.counter()
    draws.program(lambda key: start(key, nn.Sequential([Conv(7), Conv(11)])))(KEY)
    assert sum(count().values()) == 1, "the keys, and nothing else"


@pytest.mark.parametrize("kind", ["rbg", "threefry2x32"])
def test_keys_of_other_kinds_are_left_to_jax(kind):
    key = jax.random.key(3, impl=kind)

    def drawn(key):
        return INITIALIZERS["he_normal"](jax.random.fold_in(key, 3), (4, 5), jnp.float32)

    check(drawn, key)


def test_other_precisions_and_inner_programs_are_left_to_jax():
    check(lambda key: INITIALIZERS["he_normal"](jax.random.fold_in(key, 3), (4, 5), jnp.bfloat16))
    check(lambda key: start(key, Network(nn.remat(Dense))))


def test_results_that_depend_on_draws_are_computed_from_them():
    def start_and_copy(key):
        variables, _, _ = start(key)
        kernel = variables["params"]["dense"]["kernel"]
        return kernel, kernel, 2 * kernel

    check(start_and_copy)


def test_a_step_may_take_over_the_memory_of_what_was_drawn():
    found = draws.program(start)(KEY)[0]
    doubled = compiler.jit(lambda x: jax.tree.map(lambda x: 2 * x, x), donate_argnums=0)(found)
    expected = compiler.jit(start)(KEY)[0]
    assert jax.tree.all(jax.tree.map(lambda x, y: bool((x == 2 * y).all()), doubled, expected))


def test_bits_begin_where_they_are_asked_to():
    data = jax.random.key_data(jax.random.fold_in(KEY, 2**31 + 5))
    assert np.array_equal(threefry.fold_in(jax.random.key_data(KEY), jnp.uint32(2**31 + 5)), data)
    expected = jax.random.bits(jax.random.wrap_key_data(data), (100,))
    assert np.array_equal(threefry.bits(data, 40, 60), expected[60:])
