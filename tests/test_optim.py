"""Optimisers against their formulas, written slowly in float64."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax.errors import InputError
from cnnjax.train import optim

STEPS = 7


def leaves(seed):
    """Returns weights and a gradient for each of STEPS steps, float64, by name."""
    draw = np.random.default_rng(seed).normal
    shapes = {"stem/kernel": (2, 3), "stem/bias": (3,), "head/kernel": (3, 2)}
    weights = {name: draw(size=shape) for name, shape in shapes.items()}
    gradients = [{name: draw(size=shape) for name, shape in shapes.items()} for _ in range(STEPS)]
    return weights, gradients


def nested(flat):
    tree = {}
    for name, value in flat.items():
        room, leaf = name.split("/")
        tree.setdefault(room, {})[leaf] = jnp.asarray(value, jnp.float32)
    return tree


def ours(weights, gradients, *arguments, **options):
    """Returns the weights by name after a step with each of the gradients."""
    params = nested(weights)
    transformation = optim.optimizer(*arguments, **options)
    state = transformation.init(params)
    for gradient in gradients:
        updates, state = transformation.update(nested(gradient), state, params)
        params = optax.apply_updates(params, updates)
    return {name: params[name.split("/")[0]][name.split("/")[1]] for name in weights}


def check(found, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=1e-6, err_msg=name)


# Each takes one leaf's weights and its gradients, and returns the weights after the last step.


def sgd(w, gradients, rate):
    for g in gradients:
        w = w - rate * g
    return w


def momentum(w, gradients, rate, m=0.9, look_ahead=False):
    v = 0 * w
    for g in gradients:
        v = m * v + g
        w = w - rate * (g + m * v if look_ahead else v)
    return w


def adam(w, gradients, rate, b1=0.9, b2=0.999, epsilon=1e-8, decay=0.0, trust=False):
    m, v = 0 * w, 0 * w
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        step = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + epsilon) + decay * w
        if trust:
            step = step * math.sqrt((w**2).sum()) / math.sqrt((step**2).sum())
        w = w - rate * step
    return w


def adadelta(w, gradients, rate, rho=0.95, epsilon=1e-7):
    squares, steps = 0 * w, 0 * w
    for g in gradients:
        squares = rho * squares + (1 - rho) * g**2
        step = np.sqrt(steps + epsilon) / np.sqrt(squares + epsilon) * g
        steps = rho * steps + (1 - rho) * step**2
        w = w - rate * step
    return w


def rmsprop(w, gradients, rate, rho=0.9, epsilon=1e-7, m=0.0):
    squares, v = 0 * w, 0 * w
    for g in gradients:
        squares = rho * squares + (1 - rho) * g**2
        v = m * v + g / np.sqrt(squares + epsilon)
        w = w - rate * v
    return w


@pytest.mark.parametrize(
    ("name", "rate", "options", "formula"),
    [
        ("sgd", 0.1, {}, sgd),
        ("momentum", 0.1, {}, momentum),
        ("momentum", 0.1, {"momentum": 0.5}, lambda *a: momentum(*a, m=0.5)),
        ("nesterov", 0.1, {}, lambda *a: momentum(*a, look_ahead=True)),
        ("adam", 0.01, {}, adam),
        (
            "adam",
            0.01,
            {"b1": 0.8, "b2": 0.9, "epsilon": 1e-3},
            lambda *a: adam(*a, b1=0.8, b2=0.9, epsilon=1e-3),
        ),
        ("adamw", 0.01, {}, adam),
        ("lamb", 0.01, {}, lambda *a: adam(*a, trust=True)),
        ("adadelta", 1.0, {}, adadelta),
        (
            "adadelta",
            0.5,
            {"rho": 0.9, "epsilon": 1e-6},
            lambda *a: adadelta(*a, rho=0.9, epsilon=1e-6),
        ),
        ("rmsprop", 0.01, {}, rmsprop),
        (
            "rmsprop",
            0.01,
            {"rho": 0.8, "momentum": 0.6},
            lambda *a: rmsprop(*a, rho=0.8, m=0.6),
        ),
    ],
)
def test_an_optimiser_follows_its_formula(name, rate, options, formula):
    weights, gradients = leaves(seed=1)
    found = ours(weights, gradients, name, rate, **options)
    check(found, {n: formula(w, [g[n] for g in gradients], rate) for n, w in weights.items()})


def test_every_optimiser_is_compared_with_a_formula():
    cases = test_an_optimiser_follows_its_formula.pytestmark[0].args[1]
    assert {case[0] for case in cases} == set(optim.OPTIMIZERS)


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "rmsprop", "adadelta"])
def test_weight_decay_is_part_of_the_gradient(name):
    weights, gradients = leaves(seed=2)
    formulas = {"sgd": sgd, "momentum": momentum, "adam": adam, "rmsprop": rmsprop}
    formula = formulas.get(name, adadelta)

    def with_decay(w, gradients, share):
        seen, now = [], w
        for g in gradients:
            seen.append(g + share * now)
            now = formula(w, seen, 0.1)
        return now

    found = ours(weights, gradients, name, 0.1, 0.3)
    for n, w in weights.items():
        share = 0.3 if n.endswith("kernel") else 0.0
        expected = with_decay(w, [g[n] for g in gradients], share)
        np.testing.assert_allclose(found[n], expected, rtol=2e-5, atol=1e-5, err_msg=n)


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_weight_decay_stands_beside_the_scaled_gradient(name):
    weights, gradients = leaves(seed=3)
    found = ours(weights, gradients, name, 0.01, 0.3)
    for n, w in weights.items():
        decay = 0.3 if n.endswith("kernel") else 0.0
        expected = adam(w, [g[n] for g in gradients], 0.01, decay=decay, trust=name == "lamb")
        np.testing.assert_allclose(found[n], expected, rtol=2e-5, atol=1e-6, err_msg=n)


def test_only_parameters_named_by_the_pattern_decay():
    weights, _ = leaves(seed=4)
    still = [{name: 0 * value for name, value in weights.items()}]
    found = ours(weights, still, "sgd", 0.5, 0.1, decay="head/.*|.*/bias")
    expected = {"stem/kernel": 1.0, "stem/bias": 0.95, "head/kernel": 0.95}
    check(found, {name: expected[name] * value for name, value in weights.items()})
    # The whole name has to match, not a part of it.
    check(ours(weights, still, "sgd", 0.5, 0.1, decay="stem"), weights)


def test_a_decay_of_zero_is_not_in_the_program_but_one_that_may_vary_is():
    params = nested(leaves(seed=5)[0])
    without = optim.optimizer("sgd", 0.1, 0.0).init(params)
    varying = jax.eval_shape(lambda d: optim.optimizer("sgd", 0.1, d).init(params), 0.0)
    assert len(varying) == len(without) + 1


def test_a_gradient_that_is_too_long_is_scaled_to_the_norm_as_a_whole():
    weights, gradients = leaves(seed=6)
    length = math.sqrt(sum((g**2).sum() for g in gradients[0].values()))
    for limit, scale in ((length / 4, 0.25), (length * 4, 1.0)):
        found = ours(weights, gradients[:1], "sgd", 0.5, clip_norm=limit)
        check(found, {n: w - 0.5 * scale * gradients[0][n] for n, w in weights.items()})


def test_clipping_comes_before_decay():
    weights, gradients = leaves(seed=7)
    length = math.sqrt(sum((g**2).sum() for g in gradients[0].values()))
    found = ours(weights, gradients[:1], "sgd", 0.5, 0.2, ".*", clip_norm=length / 2)
    expected = {n: w - 0.5 * (0.5 * gradients[0][n] + 0.2 * w) for n, w in weights.items()}
    check(found, expected)


def test_names_and_options_that_do_not_exist_are_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"unknown optimizer 'adm'; did you mean .*adam"):
        optim.check("adm")
    for name, meant in (("lr", "learning_rate"), ("wd", "weight_decay"), ("clipnorm", "clip_norm")):
        with pytest.raises(InputError, match=f"no field '{name}'; did you mean {meant}"):
            optim.check("adam", **{name: 0.1})
    with pytest.raises(InputError, match="optimizer adam has no field 'beta1'; did you mean b1"):
        optim.check("adam", beta1=0.9)
    with pytest.raises(InputError, match=r"optimizer adam.b1 must be float"):
        optim.check("adam", b1="0.9")
    assert optim.check("adadelta", rho=0.9, epsilon=1e-6) == {"rho": 0.9, "epsilon": 1e-6}


def test_a_pattern_that_matches_nothing_is_refused():
    params = nested(leaves(seed=8)[0])
    optim.check_pattern(params, ".*/kernel")
    with pytest.raises(InputError, match=re.escape("'stem/kernal'; did you mean stem/kernel")):
        optim.check_pattern(params, "stem/kernal")
    with pytest.raises(InputError, match=r"'\*/kernel' is no regular expression"):
        optim.check_pattern(params, "*/kernel")


def test_the_rate_of_a_step_follows_the_schedule():
    weights, gradients = leaves(seed=9)
    share = optim.schedule("cosine", 9, warmup_steps=2)
    params, expected = nested(weights), dict(weights)
    state = optim.optimizer("sgd", 0.0).init(params)
    for step in range(6):
        transformation = optim.optimizer("sgd", 0.2 * share(jnp.int32(step)))
        updates, state = transformation.update(nested(gradients[step]), state, params)
        params = optax.apply_updates(params, updates)
        factor = (0.5, 1)[step] if step < 2 else 0.5 * (1 + math.cos(math.pi * (step - 2) / 6))
        expected = {n: w - 0.2 * factor * gradients[step][n] for n, w in expected.items()}
    np.testing.assert_allclose(params["stem"]["kernel"], expected["stem/kernel"], rtol=2e-5)


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_options_out_of_range_are_refused(name):
    for field in optim.fields.defaults(optim.OPTIMIZERS[name]):
        for wrong in (-1.0, float("nan"), *([0.0] if field == "epsilon" else [1.0, 1.5])):
            with pytest.raises(InputError, match=f"{name}.{field} must"):
                optim.check(name, **{field: wrong})
        optim.check(name, **{field: 0.5})
