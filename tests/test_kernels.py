"""Every kernel computes what the plain operation does, and its gradients, and may be vmapped."""

import logging
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import kernels, layers, onednn  # noqa: F401 - layers define the operations
from cnnjax.onednn import library
from tests.kernel_cases import BY_ONEDNN, CASES, FORMS

pytestmark = pytest.mark.usefixtures("quick_compilation")
ALL = CASES | FORMS | BY_ONEDNN
# Of the largest value; sums are taken in another order. Half precision is compared with float32.
TOLERANCES = {"float32": 1e-5, "bfloat16": 0.1, "float64": 1e-13}


@pytest.fixture(autouse=True)
def machine(request, monkeypatch):
    """The machine that a case is for: with oneDNN, or without."""
    label = request.node.callspec.params.get("label") if hasattr(request.node, "callspec") else None
    if label in FORMS:
        monkeypatch.setattr(onednn, "computes", lambda _: False)
    elif label in BY_ONEDNN and library.library() is None:
        pytest.skip("oneDNN is not installed")


def arrays(case, batch, dtype):
    """Returns drawn arrays, many of them equal, so that a maximum has ties."""
    draw = np.random.default_rng(0)

    def some(shape):
        return jnp.asarray(draw.integers(-8, 9, shape) / 4, dtype)

    shapes = case.shapes(batch)
    found = jax.tree.map(some, shapes, is_leaf=lambda s: isinstance(s, tuple))
    if case.keys:
        found[0] = jax.random.split(jax.random.key(0), shapes[0])
        found[1] = jnp.float32(0.3)
    return found


def both_directions(case, given):
    """Returns what the operation computes, and the gradients of all that it is given."""

    def run(*given):
        operation = kernels.OPERATIONS[case.operation]
        if case.keys:
            return operation(*given, **case.facts)
        found, back = jax.vjp(lambda *given: operation(*given, **case.facts), *given)
        return found, back(jax.tree.map(weighed, found))

    return jax.jit(run)(*given)


def weighed(array):
    """Returns a gradient for an array, the same in every type."""
    return jnp.cos(jnp.arange(array.size)).reshape(array.shape).astype(array.dtype)


def close(found, expected, dtype):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape and (a.dtype == b.dtype or dtype == "bfloat16")
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCES[dtype] * max(1, np.abs(b).max()))


def held(case, batch, dtype, monkeypatch):
    """Compares the operation with the plain one."""
    with jax.enable_x64(dtype == "float64"):
        given = arrays(case, batch, dtype)
        found = both_directions(case, given)
        monkeypatch.setenv("CNNJAX_PLAIN", "1")
        if dtype == "bfloat16":
            given = jax.tree.map(lambda a: a.astype(jnp.float32), given)
        close(found, both_directions(case, given), dtype)


@pytest.mark.parametrize("label", ALL)
def test_a_kernel_is_the_plain_operation_in_both_directions(label, monkeypatch, caplog):
    with caplog.at_level(logging.DEBUG, "cnnjax.kernels"):
        given = arrays(ALL[label], 2, "float32")
        found = both_directions(ALL[label], given)
    assert {record.message for record in caplog.records} == ALL[label].kernels
    monkeypatch.setenv("CNNJAX_PLAIN", "1")
    close(found, both_directions(ALL[label], given), "float32")


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("label", ALL)
def test_so_it_is_for_odd_batches(label, batch, monkeypatch):
    if ALL[label].operation in ("spread", "bernoulli"):
        pytest.skip("its shape is a fact")
    held(ALL[label], batch, "float32", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
@pytest.mark.parametrize("label", CASES | FORMS)
def test_so_it_is_for_other_types(label, dtype, monkeypatch):
    if ALL[label].keys:
        pytest.skip("a mask has one type")
    held(ALL[label], 2, dtype, monkeypatch)


@pytest.mark.parametrize("label", ALL)
def test_it_may_be_batched(label, monkeypatch):
    case = ALL[label]
    given = arrays(case, 2, "float32")
    operation = kernels.OPERATIONS[case.operation]
    several = jax.tree.map(lambda a: jnp.stack([a, a[::-1] if a.ndim else a]), given)
    found = jax.jit(jax.vmap(lambda *given: operation(*given, **case.facts)))(*several)
    monkeypatch.setenv("CNNJAX_PLAIN", "1")
    for i in range(2):
        one = jax.tree.map(lambda a, i=i: a[i], several)
        expected = jax.jit(lambda *given: operation(*given, **case.facts))(*one)
        close(jax.tree.map(lambda a, i=i: a[i], found), expected, "float32")


def test_every_kernel_is_tried_and_tells_its_figure():
    tried = set().union(*(case.kernels for case in ALL.values()))
    assert tried == kernels.KERNELS.keys()
    for name, kernel in kernels.KERNELS.items():
        assert re.search(r"\d (ms|us)\b|times as long", str(kernel.__doc__)), name


def test_every_operation_is_tried():
    assert {case.operation for case in ALL.values()} == kernels.OPERATIONS.keys()
