"""What every registered network promises."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import models, tree
from cnnjax.structure import layers
from tests import golden, thin_networks
from tests.thin_networks import THIN

COUNTS = json.loads((Path(__file__).parent / "counts.json").read_text())
# Those that take seconds to trace or compile.
DEEP = (
    *("densenet121", "densenet169", "densenet201", "inception_resnet_v2", "inception_v3"),
    *("fcos", "nasnet_large", "nasnet_mobile", "resnet101", "resnet101_v2", "resnet110"),
    *("resnet152", "resnet152_v2", "resnet56", "resnext101_32x8d", "unet", "unet_padded", "vgg19"),
    *("vgg19_bn", "xception"),
)
LARGE = ("inception_resnet_v2", "inception_v3", "nasnet")  # even when thin
TWINS = ("resnet_cifar B", "resnet_v2 timm", "resnext", "vgg")  # of others, but for a field
SMALL = ("lenet5", "mnist_cnn", "mobilenet_v2", "resnet basic", "squeezenet", "vgg_bn")
WHOLE = ("alexnet_lite", "resnet20", "squeezenet1_1")
NORMALISED = [label for label in THIN if hasattr(thin_networks.module(label), "norm")]
DROPPING = [label for label in THIN if hasattr(thin_networks.module(label), "dropout_rate")]
pytestmark = pytest.mark.usefixtures("quick_compilation")


def slow_if(names, condition):
    return [pytest.param(n, marks=pytest.mark.slow) if condition(n) else n for n in names]


LABELS = slow_if(THIN, LARGE.__contains__)


@pytest.mark.parametrize("label", slow_if(COUNTS, lambda label: COUNTS[label]["name"] in DEEP))
def test_parameters_and_multiply_adds_are_those_published(label):
    row = COUNTS[label]
    module = models.build(row["name"], row["classes"], dialect=row.get("dialect"), **row["fields"])
    found = layers.trace(module, row["input"]).layers
    assert sum(layer.trainable for layer in found) == row["trainable"], row["source"]
    assert sum(layer.non_trainable for layer in found) == row["non_trainable"], row["source"]
    # A detector scales at last what its head says of each level.
    last = [x for x in found if x.parameters and not x.name.startswith("scale")][-1]
    assert last.name.split("/")[0] == "head" and last.shape[-1] == row["classes"]
    if row["gmacs"] is not None:
        gmacs = sum(layer.macs for layer in found) / 1e9
        assert gmacs == pytest.approx(row["gmacs"], rel=0.005), row["source"]


def test_every_network_has_a_published_count():
    bare = {row["name"] for row in COUNTS.values() if not row["fields"] and "dialect" not in row}
    assert bare == set(models.MODELS)


@pytest.mark.parametrize("name", slow_if(models.MODELS, DEEP.__contains__))
def test_logits_have_not_moved(name):
    found = golden.logits(name)
    assert found.dtype == np.float32
    moved = golden.distance(found, golden.read()[name]["logits"])
    assert moved < golden.TOLERANCE, "if this is meant: make golden, and say why in CHANGELOG"


@pytest.mark.parametrize("name", slow_if(models.MODELS, DEEP.__contains__))
def test_names_and_shapes_of_weights_have_not_moved(name):
    wanted, found = golden.read()[name]["modules"], golden.outline(golden.shapes_of(name))
    moved = {m: (wanted.get(m), found.get(m)) for m in wanted | found}
    moved = {m: pair for m, pair in moved.items() if pair[0] != pair[1]}
    assert not moved, "names are a public format; if this is meant: make golden, say why"


def step(module, variables, images):
    """Returns loss, gradients and updated statistics of one training step."""
    labels = jnp.arange(len(images)) % module.classes

    def loss(params):
        logits, updated = module.apply(
            {**variables, "params": params},
            images,
            train=True,
            mutable=["batch_stats"],
            rngs=thin_networks.rngs(),
        )
        assert logits.dtype == jnp.float32
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
        return -chosen.mean(), updated

    (value, updated), gradients = jax.value_and_grad(loss, has_aux=True)(variables["params"])
    return value, gradients, updated


def check_step(module, variables, images):
    value, gradients, updated = jax.jit(step, static_argnums=0)(module, variables, images)
    assert np.isfinite(value)
    leaves = tree.flatten(gradients)
    assert all(np.isfinite(leaf).all() and leaf.dtype == np.float32 for leaf in leaves.values())
    # What batch normalisation subtracts again has no gradient: biases of the convolutions.
    normalised = "batch_stats" in variables
    silent = [
        name
        for name, leaf in leaves.items()
        if not np.any(leaf)
        and not (normalised and name.endswith("bias") and name[:-4] + "kernel" in leaves)
    ]
    assert not silent
    before, after = variables.get("batch_stats", {}), updated.get("batch_stats", {})
    before, after = tree.flatten(before), tree.flatten(after)
    assert before.keys() == after.keys()
    assert all(np.any(before[name] != after[name]) for name in before), "statistics stand still"


@pytest.mark.parametrize(
    ("label", "dtype"),
    [
        pytest.param(label, dtype, marks=[pytest.mark.slow] if label in slow else [])
        for dtype, slow in (("float32", LARGE + TWINS), ("bfloat16", set(THIN) - set(SMALL)))
        for label in THIN
    ],
)
def test_a_step_is_finite_and_reaches_every_weight(label, dtype):
    module, images = thin_networks.module(label, dtype=dtype), thin_networks.images(label)
    check_step(module, thin_networks.variables(module, images), images)


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_a_step_of_the_whole_network_is_finite_and_reaches_every_weight(name):
    module = golden.network(name, 5)
    images = golden.noise("images", (4, *golden.image_shape(name)))
    check_step(module, golden.weights(golden.shapes_of(name, 5)), images)


@pytest.mark.parametrize("label", LABELS)
def test_an_image_is_evaluated_alike_in_any_batch_and_moves_no_statistics(label):
    module, images = thin_networks.module(label), thin_networks.images(label, 5)
    variables = thin_networks.variables(module, images)
    evaluate = jax.jit(lambda v, x: module.apply(v, x, mutable=["batch_stats"]))
    together, state = evaluate(variables, images[:3])
    others, _ = evaluate(variables, images[2:])
    scale = np.abs(together).max()
    np.testing.assert_allclose(others[0], together[2], rtol=1e-5, atol=1e-6 * scale)
    assert np.abs(others[1] - together[1]).max() > 1e-3 * scale
    for name, leaf in tree.flatten(state).items():
        np.testing.assert_array_equal(leaf, tree.flatten(variables)[name], err_msg=name)


def equations(jaxpr):
    """Yields the equations of a jaxpr and of the functions it calls."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            if hasattr(value, "jaxpr") or hasattr(value, "eqns"):
                yield from equations(getattr(value, "jaxpr", value))


def traced(module, label, train=False):
    images = thin_networks.images(label, 1)
    variables = models.check_input(module, images.shape[1:])
    return jax.make_jaxpr(
        lambda v, x: module.apply(
            v,
            x,
            train=train,
            mutable=["batch_stats"] if train else False,
            rngs=thin_networks.rngs(),
        )
    )(variables, images).jaxpr


@pytest.mark.parametrize("label", LABELS)
def test_the_activation_is_the_one_chosen_everywhere(label):
    default = thin_networks.module(label)
    chosen = "sigmoid" if default.act == "tanh" else "tanh"
    changed = [str(e) for e in equations(traced(thin_networks.module(label, act=chosen), label))]
    assert not any(f"name={default.act}" in e or f" {default.act} " in e for e in changed)
    assert any("tanh" in e or "logistic" in e for e in changed)


@pytest.mark.parametrize("label", slow_if(NORMALISED, LARGE.__contains__))
def test_the_normalisation_is_the_one_chosen_everywhere(label):
    found = {}
    for norm in ("batch", "group", "layer", "none"):
        module, images = thin_networks.module(label, norm=norm), thin_networks.images(label)
        names = tree.shapes(models.check_input(module, images.shape[1:]))
        owners = [n[:-4] for n in names if n.endswith("bias") and n[:-4] + "kernel" not in names]
        averaging = [n for n in names if n.endswith("/mean")]
        found[norm] = len(owners), len(averaging)
    count = found["batch"][0]
    assert count > 0
    assert found == {
        "batch": (count,) * 2,
        "group": (count, 0),
        "layer": (count, 0),
        "none": (0, 0),
    }


@pytest.mark.parametrize("label", LABELS)
def test_convolutions_and_matrix_products_compute_in_the_dtype_chosen(label):
    module = thin_networks.module(label, dtype="bfloat16")
    products = [
        equation.outvars[0].aval.dtype
        for equation in equations(traced(module, label))
        if equation.primitive.name in ("conv_general_dilated", "dot_general")
    ]
    assert products and set(products) == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("label", LABELS)
def test_float64_stays_float64(label):
    module, images = thin_networks.module(label), thin_networks.images(label, 1)
    with jax.enable_x64(True):
        double = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64),
            models.check_input(module, images.shape[1:]),
        )
        image = jax.ShapeDtypeStruct(images.shape, jnp.float64)
        jaxpr = jax.make_jaxpr(module.apply)(double, image).jaxpr
    assert jaxpr.outvars[0].aval.dtype == jnp.float64
    narrow = [e for e in equations(jaxpr) if e.outvars[0].aval.dtype == jnp.float32]
    assert not narrow


@pytest.mark.parametrize("label", slow_if(DROPPING, LARGE.__contains__))
def test_dropout_needs_its_key_only_in_training(label):
    module = thin_networks.module(label, dropout_rate=0.5)

    def drawn(**given):
        found = {e.primitive.name for e in equations(traced(module, label, **given))}
        return found & {"random_bits", "random_unwrap"}  # of jax.random, or the words of its keys

    assert drawn(train=True) and not drawn()
