"""The one door through which our programs are compiled, and the options that they need.

XLA:CPU of jax 0.10 computes wrong values without them (jax-ml/jax#39103): nothing of ours calls
`jax.jit` or `jax.pmap` itself, which tests/test_compiler.py holds.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.core
from jax import export

# The first is for right values: a fusion of jax 0.10.2 leaves rows wrong, or hangs. Without it,
# unpadded convolutions and weight gradients also take the fast path of padded ones: without oneDNN
# the training step of `mnist_cnn` takes 100 ms instead of 240 on two cores. The second has
# operations follow each other so that they need little memory, not so that many can run at once, in
# each other's way: evaluation is 2 to 6 % faster on two cores.
CPU_OPTIONS: dict[str, str | bool] = {
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_cpu_enable_concurrency_optimized_scheduler": False,
}
# Without these XLA:GPU may choose, by timing, algorithms that add up in any order.
DETERMINISTIC = (
    "--xla_gpu_deterministic_ops=true",
    "--xla_gpu_exclude_nondeterministic_ops=true",
)


def jit(function: Callable[..., Any], platform: str = "", **keywords: Any) -> Any:
    """Returns `function` compiled by `jax.jit`, with the options that its platform needs.

    It takes the keywords of `jax.jit`, and touches no device before its first call. `lower` is that
    of `jax.jit`; `compiled` returns the program for the given arguments ahead of any call.

    JAX takes options for the outermost program alone. Called while another is traced, this one
    becomes a part of that. Under `jax.grad` outside of any it is compiled without them: write
    `jit(jax.grad(f))`, not `jax.grad(jit(f))`.

    Args:
      platform: of the devices: "cpu", "gpu" or "tpu"; that of the default device where empty.
    """
    part = jax.jit(function, **keywords)

    @functools.cache
    def whole() -> Any:
        needed = options(platform or jax.default_backend())
        return jax.jit(function, compiler_options=needed, **keywords)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return whole()(*args, **kwargs)
        except ValueError:
            if not being_traced(args, kwargs):
                raise
        return part(*args, **kwargs)

    program: Any = call
    program.lower = lambda *args, **kwargs: whole().lower(*args, **kwargs)
    program.compiled = lambda *args, **kwargs: program.lower(*args, **kwargs).compile()
    return program


def pmap(function: Callable[..., Any], platform: str, **keywords: Any) -> Any:
    """Returns `function` mapped by `jax.pmap`, with the options that its platform needs.

    `jax.pmap` takes none. On one process `jit` around it does; that of several would see all their
    devices, so there each program is lowered first, and called with arrays of all processes, which
    `Mapper.split` and `Mapper.replicate` return. `compiled` is as that of `jit`.
    """
    mapped = jax.pmap(function, **keywords)
    if jax.process_count() == 1:
        return jit(mapped, platform, donate_argnums=keywords.get("donate_argnums", ()))
    programs: dict[Any, Any] = {}

    def compiled(*args: Any) -> Any:
        return mapped.lower(*args).compile(options(platform))

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        leaves, structure = jax.tree.flatten(args)
        kind = structure, tuple(map(jax.typeof, leaves))
        if kind not in programs:
            programs[kind] = compiled(*args)
        return programs[kind](*args)

    program: Any = call
    program.compiled = compiled
    return program


def being_traced(*args: Any) -> bool:
    """Returns whether a result of `args` becomes a part of a program or a derivative."""
    leaves = jax.tree.leaves((args, jax.device_put(0)))
    return any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)


def be_deterministic() -> None:
    """Has a GPU give the same bits every time; call it before JAX uses a device."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    flags += [flag for flag in DETERMINISTIC if flag not in flags]
    os.environ["XLA_FLAGS"] = " ".join(flags)


def is_deterministic(platform: str) -> bool:
    """Returns whether programs on this kind of device give the same bits every time."""
    return platform != "gpu" or set(DETERMINISTIC) <= set(os.environ.get("XLA_FLAGS", "").split())


@functools.cache
def options(platform: str) -> dict[str, str | bool]:
    """Returns the compiler options that programs on a platform need, and this jaxlib accepts."""
    if platform != "cpu":
        return {}
    return {name: value for name, value in CPU_OPTIONS.items() if accepted({name: value})}


def accepted(given: dict[str, str | bool]) -> bool:
    """Returns whether this version of jax knows these options; one that it does not know raises."""
    try:
        jax.jit(lambda: 0, compiler_options=given).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def exported(function: Callable[..., Any], *shapes: Any, platforms: Sequence[str]) -> Any:
    """Returns `jax.export.Exported` of a function in JAX's own operations, for these platforms.

    Args:
      shapes: `jax.ShapeDtypeStruct`s of the arguments, whose sizes may be symbols.
    """
    with plainly():
        return export.export(jax.jit(function), platforms=platforms)(*shapes)


PLAIN: contextvars.ContextVar[bool] = contextvars.ContextVar("plain", default=False)


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Has what is traced inside consist of JAX's own operations, for whoever looks at them."""
    token = PLAIN.set(True)
    try:
        yield
    finally:
        PLAIN.reset(token)


def rewrites() -> bool:
    """Returns whether layers take the forms that suit XLA on a CPU, being on one.

    With CNNJAX_PLAIN=1 in the environment they stay as on other devices, which forward-mode
    derivatives need: the forms have a gradient of their own.
    """
    if PLAIN.get():
        return False
    return jax.default_backend() == "cpu" and os.environ.get("CNNJAX_PLAIN") != "1"
