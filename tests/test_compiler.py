"""Every program of ours goes through `cnnjax.compiler`, for the options that XLA needs."""

import ast
import doctest
import re
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import compiler

ROOT = Path(__file__).parent.parent
# Contestants of the benchmark: as their users write them, with what XLA does by itself.
ON_PURPOSE = {
    "cnnjax/compiler.py": "the door itself",
    "experiments/benchmarks/plain_flax.py": "Flax as in its own examples",
    "experiments/benchmarks/keras_jax.py": "Keras, whose `compile` is another thing",
    "experiments/benchmarks/on_jax.py": "the peak of a matrix product, whichever way XLA takes",
}
COMPILERS = {"jit", "pmap", "pjit"}


def compilations(source):
    """Returns the lines of Python code that reach a compiler of JAX other than by our door."""
    return sorted({node.lineno for node in ast.walk(ast.parse(source)) if compiles(node)})


def compiles(node):
    if isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        star = "*" in names and (node.module or "").startswith(("jax", "flax"))
        return bool(names & COMPILERS) or star
    if isinstance(node, ast.Attribute):
        ours = isinstance(node.value, ast.Name) and node.value.id == "compiler"
        regular = isinstance(node.value, ast.Name) and node.value.id == "re"
        return not ours and (node.attr in COMPILERS or (node.attr == "compile" and not regular))
    # getattr(jax, "jit")
    named = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr"
    return named and any(getattr(word, "value", None) in COMPILERS for word in node.args)


SOURCES = [
    path for room in ("cnnjax", "experiments", "configs") for path in (ROOT / room).rglob("*.py")
]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_compiled_outside_of_the_door(path):
    found = compilations(path.read_text())
    if str(path.relative_to(ROOT)) in ON_PURPOSE:
        assert found, "no longer an exception: take it off the list"
    else:
        assert found == [], f"{path}: compile through cnnjax.compiler, by lines {found}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_show_the_door(path):
    for code in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL):
        examples = doctest.DocTestParser().get_examples(code)
        shown = "".join(example.source for example in examples) or code
        assert compilations(shown) == [], shown


@pytest.mark.parametrize(
    "source",
    [
        "import jax\n@jax.jit\ndef f(x): return x",
        "import jax\nf = jax.jit(g)",
        "from functools import partial\n@partial(jax.jit, static_argnums=0)\ndef f(x): return x",
        "import jax as j\nf = j.pmap(g)",
        "from jax import jit as fast",
        "from jax.experimental.pjit import pjit",
        "from jax import *",
        "import flax.nnx as nnx\nstep = nnx.jit(g)",
        "f = getattr(jax, 'jit')(g)",
        "program = mapped.lower(x).compile()",
        "lowered = mapped.lower(x)\nprogram = lowered.compile({})",
    ],
)
def test_a_program_compiled_elsewhere_is_found(source):
    assert len(compilations(source)) >= 1


def test_what_is_compiled_by_the_door_is_not_found():
    source = (
        "@compiler.jit\ndef f(x): return x\nre.compile('x')\nmapper = parallel.mapper('pmap')\n"
    )
    assert compilations(source + "compiler.jit(f).compiled(x)\ny = f.lower(x)") == []


# 40,000 rows of three, as in jax-ml/jax#39103: XLA:CPU of jax 0.10.2 leaves those after 32,768.
ROWS = np.random.default_rng(0).normal(size=(40_000, 3)).astype(np.float32)


def squared(row):
    return jnp.sum((jnp.eye(3) @ row) ** 2)


WAYS = {
    "jit": lambda x: compiler.jit(jax.vmap(squared))(x),
    "vmap of jit": lambda x: jax.vmap(compiler.jit(squared))(x),
    "compiled": lambda x: compiler.jit(jax.vmap(squared), "cpu").compiled(x)(x),
    "pmap": lambda x: compiler.pmap(jax.vmap(squared), "cpu")(x[None])[0],
}


@pytest.mark.parametrize("way", WAYS)
def test_the_door_computes_every_row(way):
    np.testing.assert_allclose(WAYS[way](ROWS), (ROWS**2).sum(-1), rtol=1e-4)


def test_a_program_has_gradients():
    program = compiler.jit(lambda x: jax.vmap(squared)(x).sum())
    few = ROWS[:100]
    for slope in (jax.grad(program)(few), jax.jit(jax.grad(program))(few)):
        np.testing.assert_allclose(slope, 2 * few, rtol=1e-4)
    every = compiler.jit(jax.grad(lambda x: jax.vmap(squared)(x).sum()))(ROWS)
    np.testing.assert_allclose(every, 2 * ROWS, rtol=1e-4)


def test_pmap_over_several_processes_has_the_options(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    program = compiler.pmap(jax.vmap(squared), "cpu")
    for rows in (ROWS, ROWS[:100], ROWS):  # another shape is another program
        np.testing.assert_allclose(program(rows[None])[0], (rows**2).sum(-1), rtol=1e-4)


def test_a_program_within_a_program_is_a_part_of_it():
    inner = compiler.jit(lambda x: x + 1)
    assert jax.jit(lambda x: 2 * inner(x))(3) == 8
    assert compiler.jit(lambda: 2 * inner(jnp.ones(())))() == 4  # no argument that is traced
    assert jax.eval_shape(inner, jnp.ones((2, 3))).shape == (2, 3)
    _, total = jax.lax.scan(lambda carry, x: (carry, inner(x)), 0, jnp.arange(3))
    assert total.tolist() == [1, 2, 3]


def test_keywords_names_and_errors_are_those_of_jax():
    @partial(compiler.jit, static_argnames="times")
    def repeated(x, times):
        """Says what it does."""
        if times < 0:
            raise ValueError("below 0")
        return x * times

    assert repeated(jnp.ones(2), times=3).tolist() == [3, 3]
    assert repeated.lower(jnp.ones(2), times=2).as_text()
    assert (repeated.__name__, repeated.__doc__) == ("repeated", "Says what it does.")
    for call in (repeated, compiler.jit(repeated, static_argnames="times")):
        with pytest.raises(ValueError, match="below 0"):
            call(jnp.ones(2), times=-1)
