"""The one interface of the room: an operation and its shapes in; a program, or nothing, out.

An *operation* is a plain function of arrays, and of facts that are known when it is traced, which
are passed by name. A *rule* of the same name is given both and returns a program of the arrays, or
None where the plain operation is as quick. A *kernel* is what programs are made of.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from cnnjax import compiler

Program = Callable[..., Any]
Function = TypeVar("Function", bound=Callable[..., Any])

OPERATIONS: dict[str, Callable[..., Any]] = {}
RULES: dict[str, Callable[..., Program | None]] = {}
KERNELS: dict[str, Callable[..., Any]] = {}
log = logging.getLogger(__name__)


class Window(NamedTuple):
    """Per dimension: steps between windows, zeros (before, after), steps between taps; groups."""

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1


def operation(plain: Function) -> Function:
    """Returns the operation that computes what `plain` does, by the program of its rule if any.

    `plain` takes arrays, or trees of them, by position, and facts by name.
    """

    @functools.wraps(plain)
    def computed(*arrays: Any, **facts: Any) -> Any:
        quick = program(plain.__name__, plain, *arrays, **facts)
        return plain(*arrays, **facts) if quick is None else quick(*arrays)

    OPERATIONS[plain.__name__] = computed
    return computed  # pyright: ignore[reportReturnType]


def program(name: str, plain: Callable[..., Any], *arrays: Any, **facts: Any) -> Program | None:
    """Returns what the rule of this name chooses for arrays like these, and for these facts."""
    return RULES[name](plain, *arrays, **facts) if name in RULES else None


def rule(choose: Function) -> Function:
    """Registers the rule of the operation that has the same name, for every device."""
    RULES[choose.__name__] = choose
    return choose


def rule_on_cpu(choose: Function) -> Function:
    """Registers a rule that chooses nothing on other devices, nor with CNNJAX_PLAIN=1."""

    @functools.wraps(choose)
    def on_cpu(*arrays: Any, **facts: Any) -> Program | None:
        return choose(*arrays, **facts) if compiler.rewrites() else None

    return rule(on_cpu)  # pyright: ignore[reportReturnType]


def kernel(function: Function) -> Function:
    """Registers a kernel, whose docstring tells the figure that it is here for.

    Its use is logged when a program is traced.
    """

    @functools.wraps(function)
    def logged(*arguments: Any, **facts: Any) -> Any:
        log.debug("%s", function.__name__)
        return function(*arguments, **facts)

    KERNELS[function.__name__] = logged
    return logged  # pyright: ignore[reportReturnType]
