"""oneDNN computes the convolutions of XLA, from any thread, and is not missed where it is not."""

import concurrent.futures
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import onednn
from cnnjax.kernels import Window, correlation, rules
from cnnjax.layers import correlate
from cnnjax.onednn import library as libraries

ROOT = Path(__file__).parent.parent
NONE, SAME = ((0, 0), (0, 0)), ((1, 1), (1, 1))
CASES = {
    "usual": ((4, 9, 8, 40), (3, 3, 40, 48), Window((1, 1), SAME, (1, 1))),
    "uneven": ((4, 9, 8, 5), (2, 4, 5, 7), Window((2, 1), ((0, 1), (2, 0)), (1, 2))),
    "left over": ((4, 10, 9, 6), (3, 3, 6, 3), Window((4, 4), NONE, (1, 1))),
    "one channel": ((2, 28, 28, 1), (5, 5, 1, 6), Window((1, 1), ((2, 2), (2, 2)), (1, 1))),
    "pointwise": ((4, 8, 8, 24), (1, 1, 24, 33), Window((1, 1), NONE, (1, 1))),
    "groups": ((4, 8, 8, 12), (3, 3, 4, 6), Window((1, 1), SAME, (1, 1), 3)),
    "depthwise": ((4, 8, 8, 16), (3, 3, 1, 16), Window((2, 2), SAME, (1, 1), 16)),
    "depthwise, multiplied": ((4, 8, 8, 5), (3, 3, 1, 15), Window((1, 1), SAME, (2, 2), 5)),
    "in a row": ((4, 30, 3), (4, 3, 5), Window((2,), ((1, 2),), (1,))),
    "in space": ((2, 4, 5, 6, 3), (3, 2, 3, 3, 8), Window((1,) * 3, (*SAME, (0, 1)), (1,) * 3)),
}
EVERYTHING = ("bias", "scale", "shift", "shortcut", "relu")
AFTER = {"bias": ("bias",), "relu": ("relu",), "a sum": ("shift", "shortcut"),
         "everything": EVERYTHING}  # fmt: skip
WANTED = ("x", "weights", "y")
present = pytest.mark.skipif(libraries.library() is None, reason="oneDNN is not installed")


plain = correlate.correlated.__wrapped__
product = partial(correlation.plain_product, plain)


def arrays(case, then=()):
    shape, weights, window = CASES[case]
    draw = np.random.default_rng(0)

    def some(shape):
        return jnp.asarray(draw.normal(size=shape), jnp.float32)

    named = {"x": some(shape), "weights": some(weights)}
    named["y"] = some(product(window, **named).shape)
    shapes = dict.fromkeys(("bias", "scale", "shift"), weights[-1:])
    shapes["shortcut"] = named["y"].shape
    return named | {name: some(shapes[name]) for name in then if name != "relu"}, window


def asked(wanted, case, then=()):
    """Returns the convolution of a case, the arrays, and what XLA computes of them."""
    named, window = arrays(case, then)
    sizes = [named[name].shape for name in ("x", "weights", "y")]
    convolution = onednn.Convolution(wanted, *sizes, *window, then)
    exact = correlation.complete(wanted, None, plain, window, "relu" in then, named)
    return convolution, named, exact[wanted]


def close(found, expected):
    assert found.shape == expected.shape and found.dtype == expected.dtype
    scale = float(jnp.max(jnp.abs(expected)))
    np.testing.assert_allclose(found, expected, atol=2e-6 * scale, rtol=0)


@present
@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("case", CASES)
def test_every_array_is_that_of_xla(case, wanted):
    convolution, named, expected = asked(wanted, case)
    assert onednn.computes(convolution)
    close(jax.jit(partial(onednn.convolve, convolution))(named), expected)


@present
@pytest.mark.parametrize("then", AFTER)
@pytest.mark.parametrize("case", CASES)
def test_so_is_all_that_follows_the_products(case, then):
    convolution, named, expected = asked("y", case, AFTER[then])
    assert onednn.computes(convolution)
    close(jax.jit(partial(onednn.convolve, convolution))(named), expected)


@present
def test_what_is_no_number_stays_so():
    convolution, named, _ = asked("y", "usual", ("bias", "relu"))
    named["x"] = named["x"].at[1].set(jnp.nan)
    found = onednn.convolve(convolution, named)
    assert jnp.isnan(found[1]).all() and (found[0] >= 0).all()


def result(convolution):
    """Returns the function of x and weights that computes y."""
    return lambda x, weights: onednn.convolve(convolution, {"x": x, "weights": weights})


@present
def test_it_can_be_batched():
    convolution, named, expected = asked("y", "usual")
    several = jnp.stack([named["x"], 2 * named["x"], -named["x"]])
    found = jax.vmap(result(convolution), (0, None))(several, named["weights"])
    close(found, jnp.stack([expected, 2 * expected, -expected]))


@present
def test_threads_take_turns_and_get_their_own_results():
    convolution, named, expected = asked("y", "usual")
    compute, x, weights = jax.jit(result(convolution)), named["x"], named["weights"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda factor: compute(factor * x, weights), map(float, range(1, 65)))
        )
    for i, each in enumerate(found):
        close(each / (i + 1), expected)


@present
@pytest.mark.parametrize("wanted", WANTED)
def test_the_same_bits_come_out_every_time(wanted):
    convolution, named, _ = asked(wanted, "usual")
    compute = jax.jit(partial(onednn.convolve, convolution))
    first = np.asarray(compute(named))
    for _ in range(5):
        np.testing.assert_array_equal(compute(named), first)


def takes(case, wanted="y", dtype=jnp.float32, then=()):
    named, window = arrays(case, then)
    given = {name: jnp.asarray(a, dtype) for name, a in named.items()}
    program = rules.product_by_onednn(plain, given, wanted=wanted, window=window, relu=False)
    return program is not None


@present
def test_layers_use_it_where_it_is_quicker():
    assert takes("usual") and takes("usual", "x") and takes("usual", "weights")
    assert not takes("pointwise") and not takes("pointwise", "x")  # a matrix product
    assert not takes("pointwise", then=("bias",)) and takes("pointwise", then=("scale", "shift"))
    assert takes("pointwise", "weights") and takes("groups")
    assert not takes("left over") and takes("left over", "x")  # few outputs
    assert not takes("usual", dtype=jnp.bfloat16)
    x = jnp.ones((0, 9, 8, 40))
    same = Window((1, 1), SAME, (1, 1))
    assert correlate.correlate(x, jnp.ones((3, 3, 40, 48)), same).shape == (0, 9, 8, 48)


CALL = "custom_call @cnnjax_onednn_convolution"


@present
def test_layers_reach_it_in_both_directions():
    named, window = arrays("groups", ("bias",))
    y = named.pop("y")

    def both(named):
        found, back = jax.vjp(lambda named: correlate.correlate(window=window, **named), named)
        return found, back(y)[0]

    text = jax.jit(both).lower(named).as_text()
    assert text.count(CALL) == 3
    assert "stablehlo.convolution" not in text


@present
@pytest.mark.parametrize("case", ["usual", "pointwise", "left over"])
def test_all_that_follows_is_one_pass_unless_a_gradient_is_taken(case, monkeypatch):
    named, window = arrays(case, EVERYTHING)
    y = named.pop("y")

    def run(named):
        return correlate.correlate(window=window, relu=True, **named)

    def both(named):
        found, back = jax.vjp(run, named)
        return found, back(y)[0]

    lowered = jax.jit(run).lower(named).as_text()
    assert (CALL in lowered) == ("stablehlo.add" not in lowered) == (case != "left over")
    quick = run(named), both(named)
    monkeypatch.setenv("CNNJAX_PLAIN", "1")
    for mine, theirs in zip(
        jax.tree.leaves(quick), jax.tree.leaves((run(named), both(named))), strict=True
    ):
        close(mine, theirs)


CODE = """
import jax, jax.numpy as jnp
from cnnjax import layers
from cnnjax.onednn.library import library
from cnnjax.workdir.environment import describe
conv = layers.Conv(32)
x = jnp.ones((8, 16, 16, 16))
variables = conv.init(jax.random.key(0), x)
step = jax.jit(lambda v: jax.grad(lambda v: jnp.sum(conv.apply(v, x)))(v))
total = jnp.sum(jnp.abs(step(variables)["params"]["kernel"]))
print(library() is not None, describe()["oneDNN"] or "none", float(total))
for _ in range(20):
    variables = step(variables)  # still at it when the process ends
"""


def started(**environment):
    return subprocess.run(
        (sys.executable, "-c", CODE), cwd=ROOT, env=os.environ | environment, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip


def test_a_process_does_without_it_and_says_what_is_wrong_with_a_path():
    without, with_it = started(CNNJAX_ONEDNN="0"), started()
    assert without.returncode == with_it.returncode == 0, without.stderr + with_it.stderr
    absent, none, expected = without.stdout.split()
    found, version, value = with_it.stdout.split()
    assert absent == "False" and none == "none"
    assert found == str(libraries.library() is not None) and version == (onednn.version() or "none")
    assert version[:2] in ("3.", "no")
    np.testing.assert_allclose(float(value), float(expected), rtol=1e-5)
    wrong = started(CNNJAX_ONEDNN="/no/such/libdnnl.so.3")
    assert wrong.returncode != 0
    assert "CNNJAX_ONEDNN must be 0 or the path of libdnnl.so.3; given '/no/such" in wrong.stderr
