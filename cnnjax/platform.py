"""Whether XLA computes here what it should: known faults of it, each tried in a moment.

Each was reported for a version of jax that pyproject.toml allows. Where `compiler.options` or the
form of a program keeps us from it, the check tries just that. Nothing here crashes a process: of
programs that did, it looks at what they were compiled to.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnnjax import compiler
from cnnjax.errors import Failure

Compile = Callable[..., Any]
IN_NHWC = ("NHWC", "HWIO", "NHWC")
FUSION = "__ynn_fusion"
UNFUSED = "set XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type= or install another version of jax"
OTHER = "install another version of jax"


@dataclasses.dataclass(frozen=True)
class Fault:
    """A program that some XLA got wrong.

    Attributes:
      issue: where it was reported, as OWNER/REPOSITORY#NUMBER on GitHub.
      says: what goes wrong, to end the sentence "XLA ...".
      platforms: kinds of devices where it did.
      cure: what to do, as a clause.
      right: of (how to compile, size): whether the program comes out right.
      sizes: the first is tried at the start of a run, all of them at length.
    """

    issue: str
    says: str
    platforms: tuple[str, ...]
    cure: str
    right: Callable[[Compile, int], bool]
    sizes: tuple[int, ...] = (1,)

    def __str__(self) -> str:
        return f"XLA {self.says} ({self.issue}): {self.cure}"


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def alike(found: Any, expected: Any) -> bool:
    """Returns whether both have one shape and the same numbers but for rounding."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    same = found.shape == expected.shape
    return same and np.allclose(found, expected, 1e-3, 1e-3, equal_nan=True)


def rows(compiled: Compile, count: int) -> bool:
    x = drawn(count, 3)
    program = compiled(jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2)))
    return alike(program(x), (x.astype(np.float64) ** 2).sum(-1))


def unfused(compiled: Compile, function: Callable[..., Any], *shapes: Sequence[int]) -> bool:
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return FUSION not in compiled(function).compiled(*arguments).as_text()


def rank_eight(compiled: Compile, size: int) -> bool:
    def likelihood(seen, table):
        wide = seen[..., None, None, None, None, None]
        return jnp.log(jnp.maximum(jnp.sum(wide * table, axis=2), 1e-16))

    return unfused(compiled, likelihood, (10, 4, 6), (10, 4, 6, *(size,) * 5))


def rank_seven(compiled: Compile, size: int) -> bool:
    shape = (3, 1, 2, 2, *(size,) * 3)
    return unfused(compiled, lambda a, b: jnp.sum(a * b, axis=3), shape, shape)


def padded_in_a_loop(compiled: Compile, size: int) -> bool:
    x = drawn(60, size)

    def windows(x):
        padded = jnp.pad(x, ((0, 1), (0, 0)))
        return lax.map(lambda i: lax.dynamic_slice(padded, (19 * i, 0), (23, size)), jnp.arange(3))

    padded = np.pad(x, ((0, 1), (0, 0)))
    return alike(compiled(windows)(x), np.stack([padded[19 * i : 19 * i + 23] for i in range(3)]))


def padded_beyond_the_kernel(compiled: Compile, low: int) -> bool:
    """The derivative of a convolution crops where its padding is wider than the kernel."""
    x, kernel = drawn(1, 4, 6, 8), jnp.eye(8).reshape(1, 1, 8, 8)

    def total(x, weights):
        wide = ((0, 0), (low, 0))
        return (lax.conv_general_dilated(x, kernel, (1, 1), wide, dimension_numbers=IN_NHWC)
                * weights).sum()  # fmt: skip

    weights = drawn(1, 4, 6 + low, 8)
    return alike(compiled(jax.grad(total))(x, weights), weights[:, :, low:])


def shifted(compiled: Compile, size: int) -> bool:
    x = drawn(size, 16)
    expected = 2 * x
    expected[1:] = 2 * x[:-1]
    return alike(compiled(lambda x: (2 * x).at[1:].set((2 * x)[:-1]))(x), expected)


def not_a_number(compiled: Compile, size: int) -> bool:
    x = np.full((size, 3), np.nan, np.float32)
    return alike(compiled(lambda x: (jnp.exp(x), jax.nn.log_softmax(x)))(x), [x, x])


def one_by_one(compiled: Compile, size: int) -> bool:
    root = jnp.sqrt(jnp.float32(size))  # outside of any program, in this order
    return alike(root, size**0.5) and alike(jnp.ones(4) + 1, [2.0] * 4)


def scaled_affine(compiled: Compile, size: int) -> bool:
    a, b, bias = drawn(32, 15), drawn(size, 15), 100 * drawn(32)

    def affine(scale, a, b, bias):
        return jax.vmap(lambda row: scale * (a @ row + bias))(b)

    return alike(compiled(affine)(np.float32(0.1), a, b, bias), 0.1 * (b @ a.T + bias))


def concatenated(compiled: Compile, size: int) -> bool:
    sequence, registers = drawn(2, size, 64), drawn(2, 4, 64)
    first, rest = np.array([[True], [False]]), drawn(2, size - 1) > 0

    def forward(sequence, registers, first, rest):
        valid = jnp.concatenate([first, rest], axis=1)[..., None]
        mean = jnp.mean(sequence**2, axis=-1, keepdims=True)
        normal = jnp.where(valid, sequence * lax.rsqrt(mean + 1e-6), 0)
        return jnp.concatenate([normal, registers], axis=1)

    valid = np.concatenate([first, rest], axis=1)[..., None]
    normal = sequence / np.sqrt((sequence**2).mean(-1, keepdims=True) + 1e-6)
    expected = np.concatenate([np.where(valid, normal, 0), registers], axis=1)
    return alike(compiled(forward)(sequence, registers, first, rest), expected)


def reassembled(compiled: Compile, rows: int) -> bool:
    """On four devices of this process, or as many as there are."""
    devices = jax.local_devices()[:4]
    count, period = len(devices), rows + 3

    def widened(x):
        pieces = [jnp.pad(x[rows * k : rows * (k + 1)], (1, 2)) for k in range(count)]
        return jnp.concatenate(pieces)

    def narrowed(x):
        starts = [period * k + 1 for k in range(count)]
        return jnp.concatenate([x[start : start + rows] for start in starts])

    def both(x, z):
        return narrowed(widened(x) * z) + narrowed(widened(narrowed(z)))

    split = NamedSharding(Mesh(np.array(devices), ("rows",)), PartitionSpec("rows"))
    x, z = drawn(rows * count), drawn(period * count)
    found = compiled(both)(jax.device_put(x, split), jax.device_put(z, split))
    kept = z.reshape(count, period)[:, 1 : rows + 1].ravel()
    return alike(found, x * kept + kept)


def gathered(compiled: Compile, batch: int) -> bool:
    gradient = drawn(batch, 8, 128)
    _, pullback = jax.vjp(lambda x: x[:, jnp.arange(8), :], jnp.zeros(gradient.shape))
    return alike(pullback(gradient)[0], gradient)


ALL = ("cpu", "gpu", "tpu")
FAULTS = (
    Fault("jax-ml/jax#39103", "leaves the last rows of a product and sum wrong", ("cpu",),
          UNFUSED, rows, (32_769, 40_000, 65_537, 100_000)),
    Fault("jax-ml/jax#39257", "crashes or hangs on arrays of eight dimensions", ("cpu",),
          UNFUSED, rank_eight, (9,)),
    Fault("jax-ml/jax#40412", "crashes on a sum over arrays of seven dimensions", ("cpu",),
          UNFUSED, rank_seven, (8, 4)),
    Fault("jax-ml/jax#39120", "reads padding within a loop from memory never written", ("cpu",),
          OTHER, padded_in_a_loop, (4, 2, 8)),
    Fault("openxla/xla#48713", "convolves beyond the edge where padding crops", ("cpu",),
          OTHER, padded_beyond_the_kernel, (5, 1, 3, 7)),
    Fault("openxla/xla#49176", "overwrites what it has yet to read, shifting rows", ("cpu",),
          OTHER, shifted, (8, 4, 100)),
    Fault("jax-ml/jax#29537", "takes a value that is not a number for one", ALL,
          OTHER, not_a_number, (3, 1000)),
    Fault("jax-ml/jax#40633", "returns what it computed before from single operations", ("gpu",),
          "install jax 0.10.2, which does not on the card of that report", one_by_one, (512, 9)),
    Fault("jax-ml/jax#39336", "scales a product, and forgets to scale what is added", ("gpu",),
          "set XLA_FLAGS=--xla_gpu_autotune_level=3", scaled_affine, (100,)),
    Fault("jax-ml/jax#40588", "masks the wrong rows where masks are joined", ("gpu",),
          OTHER, concatenated, (17, 64)),
    Fault("jax-ml/jax#39100", "writes two results to one place on four devices", ("gpu",),
          "set XLA_FLAGS=--xla_disable_hlo_passes=priority-fusion", reassembled, (2,)),
    Fault("jax-ml/jax#39025", "drops rows of the derivative of a gather", ("tpu",),
          "install libtpu 0.0.41", gathered, (256,)),
)  # fmt: skip


class Wrong(Failure):
    """XLA computes wrong values on this machine."""


@functools.cache
def failing(platform: str) -> tuple[Fault, ...]:
    """Returns the faults of the devices of this kind that show here, in programs like ours."""
    compiled = functools.partial(compiler.jit, platform=platform)
    known = [fault for fault in FAULTS if platform in fault.platforms]
    return tuple(fault for fault in known if not fault.right(compiled, fault.sizes[0]))


def require(platform: str, ignore: bool = False) -> None:
    """Raises Wrong on a platform that computes wrong values; says so where to be ignored."""
    for fault in failing(platform):
        if not ignore:
            raise Wrong(f"{fault}")
        print(f"Ignored: {fault}.")


def describe(platform: str) -> dict[str, Any]:
    """Returns what was tried on this platform, and what came out wrong, for env.json."""
    tried = [fault.issue for fault in FAULTS if platform in fault.platforms]
    return {"tried": tried, "wrong": [fault.issue for fault in failing(platform)]}


def at_length(fault: Fault) -> tuple[bool, bool]:
    """Returns whether every size comes out right as we compile, and as `jax.jit` alone does."""
    ours = all(fault.right(compiler.jit, size) for size in fault.sizes)
    alone = functools.partial(compiler.jit, platform="without options")
    return ours, all(fault.right(alone, size) for size in fault.sizes)
