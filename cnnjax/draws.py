"""Weights at random, by a few programs that all networks share.

XLA compiles a loop for every array that a program draws: seconds for LeNet-5, minutes for
NASNet-large. But number i that a key of Threefry gives depends on the key and i alone (Salmon et
al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), so all arrays are cut from rows of one
length, which one program per distribution draws: the same bits, compiled once for every network.
"""

from __future__ import annotations

import contextvars
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.extend.random import define_prng_impl

from cnnjax import compiler, threefry

# Numbers of a row, and rows that are drawn at once: 1 MiB.
ROW, ROWS = 2**14, 2**4
# Named as Flax names them: numbers of a shape and type from a key. The last operation of each is a
# bound, after which XLA multiplies by the factor: it would merge it with that of a normal one.
DISTRIBUTIONS: dict[str, Callable[..., jax.Array]] = {
    "truncated_normal": lambda key, *kind: jax.random.truncated_normal(key, -2, 2, *kind),
    "uniform": lambda key, *kind: jax.random.uniform(key, *kind, minval=-1),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Draw:
    """What is known of `values`: numbers of a distribution by a key, times a factor."""

    values: jax.Array
    key: jax.Array
    distribution: str
    factor: float


class Fill(NamedTuple):
    """An array that is one number throughout."""

    number: Any


class Cut(NamedTuple):
    """An array of `size` numbers of a distribution, by what `number` folded into `base` gives."""

    distribution: str
    base: core.Var
    number: int
    factor: float
    size: int


Way = Fill | Cut | core.Var
NOTED: contextvars.ContextVar[list[Draw] | None] = contextvars.ContextVar("noted", default=None)


def note(draw: Draw) -> jax.Array:
    """Returns the values of a draw, which a `program` being traced may leave to the rows."""
    noted, values = NOTED.get(), draw.values
    known = values.dtype == jnp.float32 and values.size < 2**32
    if noted is not None and known and threefry.is_of(draw.key):
        noted.append(draw)
    return values


def program(function: Callable[[jax.Array], Any]) -> Callable[[jax.Array], Any]:
    """Returns `function` of a key as a program that compiles quickly.

    It returns what `compiler.jit(function)` does, on the default device. Results that are noted
    draws are cut from rows, those that are one number are filled with it, the rest is compiled.
    """

    @functools.cache
    def parts(key: jax.ShapeDtypeStruct) -> Callable[[jax.Array], Any]:
        try:
            return in_parts(function, key)
        except jax.errors.UnexpectedTracerError:  # drawn within an inner program, as of nn.remat
            return compiler.jit(function)

    return lambda key: parts(jax.ShapeDtypeStruct(key.shape, key.dtype))(key)


def in_parts(
    function: Callable[[jax.Array], Any], key: jax.ShapeDtypeStruct
) -> Callable[[jax.Array], Any]:
    """Returns what `program` does for such keys, having traced `function`."""
    traced, structure, draws = trace(function, key)
    leaves = traced.jaxpr.outvars[: structure.num_leaves]
    ways = ways_of(traced, leaves, draws)
    cuts: dict[tuple[str, core.Var], list[Cut]] = {}
    for cut in (way for way in ways if isinstance(way, Cut)):
        cuts.setdefault((cut.distribution, cut.base), []).append(cut)
    bases = list({base for _, base in cuts})
    compiled = compiler.jit(part(traced, bases + [x for x in ways if isinstance(x, core.Var)]))

    def call(key: jax.Array) -> Any:
        found = iter(compiled(key))
        keys = dict(zip(bases, found, strict=False))
        streams = {kind: drawn(kind[0], keys[kind[1]], group) for kind, group in cuts.items()}

        def array(way: Way, kind: jax.ShapeDtypeStruct) -> jax.Array:
            if isinstance(way, core.Var):
                return next(found)
            if isinstance(way, Fill):
                values = np.full(kind.shape, way.number, kind.dtype)
            else:
                values = next(streams[way.distribution, way.base]).reshape(kind.shape)
            return jax.device_put(values)

        arrays = [array(way, leaf.aval) for way, leaf in zip(ways, leaves, strict=True)]
        return jax.tree.unflatten(structure, arrays)

    return call


def trace(
    function: Callable[[jax.Array], Any], key: jax.ShapeDtypeStruct
) -> tuple[core.ClosedJaxpr, Any, list[Draw]]:
    """Returns the program of a function of a key, the structure of its result, and its draws.

    After the result, the program returns the values and the key of each draw.
    """
    draws: list[Draw] = []

    def noting(key: jax.Array) -> Any:
        token = NOTED.set(draws)
        try:
            result = function(key)
        finally:
            NOTED.reset(token)
        return result, [(draw.values, draw.key) for draw in draws]

    traced, shapes = jax.make_jaxpr(noting, return_shape=True)(key)
    return traced, jax.tree.structure(shapes[0]), draws


def ways_of(traced: core.ClosedJaxpr, leaves: Sequence[Any], draws: Sequence[Draw]) -> list[Way]:
    """Returns how each result of a program is computed: as itself where nothing is known of it."""
    made = {out: equation for equation in traced.eqns for out in equation.outvars}
    told = traced.jaxpr.outvars[len(traced.jaxpr.outvars) - 2 * len(draws) :]
    noted = dict(zip(told[::2], zip(draws, told[1::2], strict=True), strict=True))

    def operands(variable: core.Var, primitive: str) -> list[Any]:
        equation = made.get(variable)
        return equation.invars if equation and equation.primitive.name == primitive else []

    def way(leaf: Any) -> Way:
        if isinstance(leaf, core.Literal):
            return Fill(leaf.val)
        if leaf in noted:
            draw, key = noted[leaf]
            match operands(key, "random_fold_in"):
                case [core.Var() as base, core.Literal(val=number)]:
                    return Cut(draw.distribution, base, number, draw.factor, draw.values.size)
        match operands(leaf, "broadcast_in_dim"):
            case [core.Literal(val=number)]:
                return Fill(number)
        return leaf

    return [way(leaf) for leaf in leaves]


def part(traced: core.ClosedJaxpr, results: Sequence[core.Var]) -> Callable[..., list[Any]]:
    """Returns the part of a program that computes some of its variables."""
    needed, equations = set(results), []
    for equation in reversed(traced.eqns):
        if needed.intersection(equation.outvars):
            equations.append(equation)
            needed.update(x for x in equation.invars if isinstance(x, core.Var))
    smaller = traced.jaxpr.replace(outvars=list(results), eqns=equations[::-1])
    return core.jaxpr_as_fun(core.ClosedJaxpr(smaller, traced.consts))


def drawn(distribution: str, base: jax.Array, cuts: Sequence[Cut]) -> Iterator[np.ndarray]:
    """Yields the numbers of each draw, flat."""
    starts = [(cut, start) for cut in cuts for start in range(0, cut.size, ROW)]
    rows = itertools.chain.from_iterable(
        batch_of_rows(distribution, base, starts[i : i + ROWS]) for i in range(0, len(starts), ROWS)
    )
    for cut in cuts:
        numbers = np.empty(cut.size, np.float32)
        for start in range(0, cut.size, ROW):
            numbers[start : start + ROW] = next(rows)[: cut.size - start]
        yield numbers


def batch_of_rows(
    distribution: str, base: jax.Array, starts: Sequence[tuple[Cut, int]]
) -> np.ndarray:
    """Returns rows of numbers, (ROWS, ROW), of draws from these indices on."""
    numbers, indices, factors = (np.zeros(ROWS, t) for t in (np.uint32, np.uint32, np.float32))
    for row, (cut, start) in enumerate(starts):
        numbers[row], indices[row], factors[row] = cut.number, start, cut.factor
    return np.asarray(rows_of(distribution)(base, numbers, indices, factors))


@functools.cache
def rows_of(distribution: str) -> Callable[..., jax.Array]:
    """Returns the program that draws rows, which all networks share."""

    def row(base: jax.Array, number: jax.Array, start: jax.Array, factor: jax.Array) -> jax.Array:
        words = threefry.fold_in(jax.random.key_data(base), number)
        key = jax.random.wrap_key_data(jnp.append(words, start), impl=FROM_START)
        return DISTRIBUTIONS[distribution](key, (ROW,), jnp.float32) * factor

    def rows(*arguments: jax.Array) -> jax.Array:
        return jax.vmap(row, (None, 0, 0, 0))(*arguments)

    return compiler.jit(rows)


def bits_from_start(words: jax.Array, width: int, shape: tuple[int, ...]) -> jax.Array:
    """Returns random bits, (count,) uint32, of a key whose third word says where they start."""
    assert width == 32, "float32 is drawn from words of 32 bits"
    return threefry.bits(words[:2], shape[0], words[2])


def impossible(*arguments: Any) -> Any:
    raise NotImplementedError("such a key only draws")


FROM_START = define_prng_impl(
    key_shape=(3,), seed=impossible, split=impossible, random_bits=bits_from_start,
    fold_in=impossible, name="Threefry from a number on",
)  # fmt: skip
