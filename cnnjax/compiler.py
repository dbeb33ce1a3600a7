"""Options for XLA, in one place."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
from collections.abc import Iterator

import jax

# On XLA:CPU of jax 0.10 the first sends unpadded convolutions and weight gradients to the fast path
# that padded ones take: without oneDNN the training step of `mnist_cnn` takes 100 ms instead of 240
# on two cores. The second has operations follow each other so that they need little memory, not so
# that many can run at once, in each other's way: evaluation is 2 to 6 % faster on two cores.
CPU_OPTIONS: dict[str, str | bool] = {
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_cpu_enable_concurrency_optimized_scheduler": False,
}
# Without these XLA:GPU may choose, by timing, algorithms that add up in any order.
DETERMINISTIC = (
    "--xla_gpu_deterministic_ops=true",
    "--xla_gpu_exclude_nondeterministic_ops=true",
)


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
    """Returns the `compiler_options` for `jax.jit` that this version of jax accepts."""
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
