"""Receptive fields, read off a traced function: which pixels a value depends on.

An index i along an array's axis sees the pixels `first + i step` to `last + i step` of one axis of
the image. Every operation moves these three numbers, so no formula per network is needed, and a
strided slice counts as much as a pooling.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Reach:
    """What the indices of `axis` see of one image axis; pixels outside the image count."""

    axis: int
    first: int = 0
    last: int = 0
    step: int = 1

    @property
    def size(self) -> int:
        return self.last - self.first + 1


# Per image axis a Reach, or None where every index may see every pixel.
View = tuple[Reach | None, ...]


def views_of(jaxpr: Any) -> dict[Any, View | None]:
    """Returns what each variable sees of the last argument, the images."""
    images = jaxpr.invars[-1]
    views: dict[Any, View | None] = {
        images: tuple(Reach(axis) for axis in range(1, images.aval.ndim - 1))
    }
    for equation in jaxpr.eqns:
        seen = [view_of(views, v) for v in equation.invars]
        views.update(dict.fromkeys(equation.outvars, of_equation(equation, seen)))
    return views


def last_uses(jaxpr: Any) -> dict[Any, int]:
    """Returns variable -> the last equation that takes it; a number more for what is returned."""
    used = {v: i for i, e in enumerate(jaxpr.eqns) for v in e.invars if is_variable(v)}
    return used | {v: len(jaxpr.eqns) for v in jaxpr.outvars if is_variable(v)}


def is_variable(operand: Any) -> bool:
    return not hasattr(operand, "val")


def of_equation(equation: Any, views: Sequence[View | None]) -> View | None:
    """Returns the view of an equation's results, given those of its operands.

    None stands for operands that do not depend on the image.
    """
    inner = called(equation)
    if inner is not None:
        return of_jaxpr(inner, views[len(views) - len(inner.invars) :])
    moved = [
        tuple(reach and moved_by(equation, i, reach) for reach in view)
        for i, view in enumerate(views)
        if view is not None
    ]
    return tuple(map(union, zip(*moved, strict=True))) if moved else None


def called(equation: Any) -> Any:
    """Returns the jaxpr that an equation calls on its last operands, or None.

    Of several ways to compute one thing, for kinds of devices, it is the last: that for any.
    """
    params = equation.params
    if params.get("branches_platforms"):
        inner = params["branches"][-1]
    else:
        inner = params.get("jaxpr") or params.get("call_jaxpr")
    return getattr(inner, "jaxpr", inner)


def sizes(view: View | None) -> tuple[int, ...] | None:
    """Returns the extents in pixels; None where an index sees all, or there is no image to see."""
    known = [reach.size for reach in view or () if reach is not None]
    return tuple(known) if view and len(known) == len(view) else None


def of_jaxpr(jaxpr: Any, views: Sequence[View | None]) -> View | None:
    """Returns the view of a jaxpr's first result."""
    known = dict(zip(jaxpr.invars, views, strict=True))
    for equation in jaxpr.eqns:
        view = of_equation(equation, [view_of(known, v) for v in equation.invars])
        known.update(dict.fromkeys(equation.outvars, view))
    return view_of(known, jaxpr.outvars[0])


def view_of(known: dict[Any, View | None], variable: Any) -> View | None:
    """Returns the view of a variable; literals, which cannot be keys, see nothing."""
    return None if hasattr(variable, "val") else known.get(variable)


def union(reaches: Sequence[Reach | None]) -> Reach | None:
    """Returns what indices see that see all of `reaches`."""
    known = [r for r in reaches if r is not None]
    if len(known) < len(reaches) or len({(r.axis, r.step) for r in known}) != 1:
        return None
    return dataclasses.replace(
        known[0], first=min(r.first for r in known), last=max(r.last for r in known)
    )


def moved_by(equation: Any, operand: int, reach: Reach) -> Reach | None:
    """Returns where an equation carries the reach of one of its operands."""
    name = equation.primitive.name
    shape = equation.invars[operand].aval.shape
    out_shape = equation.outvars[0].aval.shape
    if name in RULES:
        return RULES[name](equation.params, [v.aval.shape for v in equation.invars], reach)
    if name.startswith("reduce_window"):
        return through_pooling(equation.params, reach)
    if "axes" in equation.params:
        return without(reach, equation.params["axes"])
    if name == "reshape":
        return through_reshape(shape, out_shape, reach)
    # Elementwise, whatever it is called; anything else is taken to mix all pixels.
    return reach if shape == out_shape and name not in MIXING else None


MIXING = ("cumsum", "cumprod", "cummax", "cummin", "dot_general", "fft", "rev", "sort")


def windowed(reach: Reach, axis: int, window: int, stride: int, before: int) -> Reach:
    """Returns the reach after windows with `before` pixels of padding at the start."""
    window, stride, before = int(window), int(stride), int(before)
    return Reach(
        axis,
        reach.first - before * reach.step,
        reach.last + (window - 1 - before) * reach.step,
        reach.step * stride,
    )


def through_convolution(params: dict, shapes: Sequence[tuple], reach: Reach) -> Reach | None:
    numbers = params["dimension_numbers"]
    spatial = numbers.lhs_spec[2:]
    if reach.axis not in spatial:
        return None
    i = spatial.index(reach.axis)
    window = (shapes[1][numbers.rhs_spec[2 + i]] - 1) * params["rhs_dilation"][i] + 1
    before, stride = params["padding"][i][0], params["window_strides"][i]
    return windowed(reach, numbers.out_spec[2 + i], window, stride, before)


def through_pooling(params: dict, reach: Reach) -> Reach:
    a = reach.axis
    window = (params["window_dimensions"][a] - 1) * params["window_dilation"][a] + 1
    return windowed(reach, a, window, params["window_strides"][a], params["padding"][a][0])


def through_slice(params: dict, shapes: Sequence[tuple], reach: Reach) -> Reach:
    start = params["start_indices"][reach.axis]
    stride = params["strides"][reach.axis] if params["strides"] else 1
    return windowed(reach, reach.axis, 1, stride, -start)


def through_pad(params: dict, shapes: Sequence[tuple], reach: Reach) -> Reach | None:
    before, _, between = params["padding_config"][reach.axis]
    return None if between else windowed(reach, reach.axis, 1, 1, before)


def through_transpose(params: dict, shapes: Sequence[tuple], reach: Reach) -> Reach:
    return dataclasses.replace(reach, axis=params["permutation"].index(reach.axis))


def through_broadcast(params: dict, shapes: Sequence[tuple], reach: Reach) -> Reach | None:
    axis = params["broadcast_dimensions"][reach.axis]
    same = shapes[0][reach.axis] == params["shape"][axis]
    return dataclasses.replace(reach, axis=axis) if same else None


def through_concatenate(params: dict, shapes: Sequence[tuple], reach: Reach) -> Reach | None:
    return None if reach.axis == params["dimension"] else reach


def through_squeeze(params: dict, shapes: Sequence[tuple], reach: Reach) -> Reach | None:
    return without(reach, params["dimensions"])


def through_reshape(shape: tuple, out_shape: tuple, reach: Reach) -> Reach | None:
    """Keeps an axis that only moved: equal sizes, and as many elements before it."""
    before = math.prod(shape[: reach.axis])
    for axis, n in enumerate(out_shape):
        if n == shape[reach.axis] and math.prod(out_shape[:axis]) == before:
            return dataclasses.replace(reach, axis=axis)
    return None


def without(reach: Reach, axes: Sequence[int]) -> Reach | None:
    """Returns the reach when `axes` are gone."""
    if reach.axis in axes:
        return None
    return dataclasses.replace(reach, axis=reach.axis - sum(a < reach.axis for a in axes))


RULES: dict[str, Callable[[dict, Sequence[tuple], Reach], Reach | None]] = {
    "broadcast_in_dim": through_broadcast,
    "concatenate": through_concatenate,
    "conv_general_dilated": through_convolution,
    "pad": through_pad,
    "slice": through_slice,
    "squeeze": through_squeeze,
    "transpose": through_transpose,
}
