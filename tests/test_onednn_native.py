"""The handler of oneDNN's operations, which is C: what it is given, says, and is compiled by."""

import ctypes
import os
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import onednn
from cnnjax.onednn import handler as handlers
from cnnjax.onednn import library as libraries
from cnnjax.onednn import native
from tests.test_onednn import asked, close, present


@present
def test_no_call_waits_for_the_interpreter():
    convolution, named, _ = asked("y", "usual")

    @jax.jit
    def chain(x):
        for _ in range(20):
            found = onednn.convolve(convolution, {"x": x, "weights": named["weights"]})
            x = jnp.sin(x) * jnp.linalg.norm(found @ jnp.ones((48, 512)))
        return x

    jax.block_until_ready(chain(named["x"]))
    hold = ctypes.PyDLL(None).usleep  # which other functions of C would let go of the interpreter
    for milliseconds in (100, 1000, 10000):
        under_way = chain(named["x"])
        hold(milliseconds * 1000)
        if under_way.is_ready():
            return
    pytest.fail("an operation waits for a thread of Python")


@pytest.fixture
def replace():
    """Yields a function that gives the handler other functions of oneDNN."""
    found, kept = libraries.library(), []

    def given(name, result, *arguments):
        def wrap(function):
            kept.append(ctypes.CFUNCTYPE(result, *arguments)(function))
            found.give(**{name: kept[-1]})

        return wrap

    yield given
    if found:
        found.give()


@present
def test_little_work_is_done_by_one_thread(replace):
    convolution, named, expected = asked("y", "usual")  # whose weights are rearranged
    used = []
    replace("use_threads", None, ctypes.c_int)(used.append)
    close(jax.jit(partial(onednn.convolve, convolution))(named), expected)
    assert used == [1, libraries.library().functions.omp_get_max_threads()]


@present
def test_what_it_cannot_do_is_said_before_and_raised_within(replace):
    convolution, named, _ = asked("y", "usual")
    wrong = convolution._replace(y=(4, 9, 9, 48))  # no window has such a result
    assert not onednn.computes(wrong)

    replace("execute", ctypes.c_int, *[ctypes.c_void_p] * 2, ctypes.c_int, ctypes.c_void_p)(
        lambda *_: 7
    )
    with pytest.raises(jax.errors.JaxRuntimeError, match="oneDNN: status 7"):
        jax.block_until_ready(jax.jit(partial(onednn.convolve, convolution))(named))
    call = jax.ffi.ffi_call(handlers.TARGET, jax.ShapeDtypeStruct((2,), jnp.float32))
    with pytest.raises(jax.errors.JaxRuntimeError, match="has not prepared plan 5"):
        jax.block_until_ready(jax.jit(lambda x: call(x, plan=np.int64(5)))(jnp.ones(2)))


def test_the_handler_is_compiled_once_and_missed_where_it_cannot_be(tmp_path, monkeypatch):
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("no C compiler is installed")
    load = native.handler.__wrapped__
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path))
    monkeypatch.setenv("CC", "/bin/false")
    assert load() is None and not list((tmp_path / "native").iterdir())
    monkeypatch.setattr(native, "COMPILERS", ())
    monkeypatch.setenv("CC", "")
    assert load() is None
    monkeypatch.setenv("CC", compiler)
    assert load() is not None
    monkeypatch.setenv("CC", "")  # it is there now
    assert load() is not None and len(list((tmp_path / "native").iterdir())) == 1
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path / "a file"))
    monkeypatch.setenv("CC", compiler)
    assert load() is not None


def test_another_library_is_no_library(tmp_path, monkeypatch):
    monkeypatch.setattr(libraries, "candidates", lambda: ["libc.so.6", str(tmp_path / "none.so")])
    monkeypatch.delenv("CNNJAX_ONEDNN", raising=False)
    assert libraries.library.__wrapped__() is None
    assert "OMP_WAIT_POLICY" not in os.environ or os.environ["OMP_WAIT_POLICY"] != "passive"
