"""How large, how far, how many: the arithmetic of a convolution, before anything is computed.

Every function answers in plain integers and refuses what no convolution can do. `n` is the size
of the input along one axis, `k` the kernel, `p` the padding, `s` the stride, `d` the dilation.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cnnjax.errors import InputError, nearest

Padding = int | str | Sequence
PADDINGS = ("valid", "same", "full")


def integer(value, name: str, least: int) -> int:
    """Returns `value` as an int, or says which argument is not a whole number from `least` up."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name} must be a whole number, got {value!r}") from None
    if number < least:
        raise InputError(f"{name} must be at least {least}, got {number}")
    return number


def per_axis(value, axes: int, name: str, least: int = 1) -> tuple[int, ...]:
    """Returns one whole number for each of the `axes`; a single number serves them all."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return (integer(value, name, least),) * axes
    numbers = tuple(integer(item, name, least) for item in value)
    if len(numbers) != axes:
        raise InputError(f"{name} needs {axes} numbers, one per axis, got {len(numbers)}: {value}")
    return numbers


def padding_widths(n: int, k: int, p: Padding, s: int = 1, d: int = 1) -> tuple[int, int]:
    """Returns how many elements are added before and after an axis of `n` elements.

    `p` is a number for both ends, a pair, or a word. "valid" adds none, "full" all that still
    touch the input. "same" makes the output ceil(n / s) long, as Keras and TensorFlow do; where
    the sum is odd the larger half goes after the input.
    """
    n, k = integer(n, "input size", 1), integer(k, "kernel size", 1)
    s, d = integer(s, "stride", 1), integer(d, "dilation", 1)
    extent = d * (k - 1) + 1
    if isinstance(p, str):
        if p == "valid":
            return 0, 0
        if p == "full":
            return extent - 1, extent - 1
        if p == "same":
            added = max((math.ceil(n / s) - 1) * s + extent - n, 0)
            return added // 2, added - added // 2
        raise InputError(f"unknown padding {p!r}{nearest(p, PADDINGS)}")
    low, high = per_axis(p, 2, "padding", least=0)
    return low, high


def output_size(n: int, k: int, p: Padding = 0, s: int = 1, d: int = 1) -> int:
    """Returns floor((n - k + 2p) / s) + 1, the number of positions of the kernel on one axis.

    A dilated kernel spans d(k - 1) + 1 elements. `p` may be any padding of `padding_widths`.

    >>> output_size(128, 5), output_size(6, 3, p=1), output_size(28, 3, p="same", s=2)
    (124, 6, 14)
    """
    low, high = padding_widths(n, k, p, s, d)
    extent = d * (k - 1) + 1
    if extent > low + n + high:
        span = f" (it spans {extent} with dilation {d})" if d > 1 else ""
        room = f" (padded to {low + n + high})" if low + high else ""
        raise InputError(f"the kernel of size {k}{span} is larger than the input of {n}{room}")
    return (low + n + high - extent) // s + 1


def axis_paddings(padding: Padding, axes: int) -> tuple[Padding, ...]:
    """Returns the padding of each axis: a word or number serves all, a sequence has one each."""
    if isinstance(padding, str) or not isinstance(padding, Iterable):
        return (padding,) * axes
    paddings = tuple(padding)
    if len(paddings) != axes:
        raise InputError(f"padding needs {axes} entries, one per axis, got {len(paddings)}")
    return paddings


def output_shape(
    shape: Sequence[int],
    kernel: int | Sequence[int],
    padding: Padding = 0,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
) -> tuple[int, ...]:
    """Returns the spatial size of the output for a spatial input `shape`, axis by axis."""
    axes = len(shape)
    columns = (
        per_axis(shape, axes, "input size"),
        per_axis(kernel, axes, "kernel size"),
        axis_paddings(padding, axes),
        per_axis(stride, axes, "stride"),
        per_axis(dilation, axes, "dilation"),
    )
    return tuple(output_size(*axis) for axis in zip(*columns, strict=True))


class Window(NamedTuple):
    """One layer seen along one axis: a convolution or a pooling. `padding` is that before it."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1


class ReceptiveField(NamedTuple):
    """Which inputs one output sees: output i sees start + i * stride, and `size` of them."""

    size: int
    stride: int
    start: int


def receptive_field(layers: Iterable[Window | Sequence[int]]) -> ReceptiveField:
    """Returns the receptive field along one axis of a stack of `layers`, first layer first.

    A negative `start` lies in the padding. Recurrence of Araujo et al., 2019,
    doi:10.23915/distill.00021.

    >>> receptive_field([(3, 1), (3, 1), (2, 2)])
    ReceptiveField(size=6, stride=2, start=0)
    """
    size, jump, start = 1, 1, 0
    for layer in layers:
        window = Window(*layer)
        k = integer(window.kernel, "kernel size", 1)
        s = integer(window.stride, "stride", 1)
        p = integer(window.padding, "padding", 0)
        d = integer(window.dilation, "dilation", 1)
        size, start, jump = size + d * (k - 1) * jump, start - p * jump, jump * s
    return ReceptiveField(size, jump, start)


def parameter_count(
    kernel: int | Sequence[int], channels: int, filters: int, bias: bool = True, groups: int = 1
) -> int:
    """Returns ((M * N * D) + 1) * K: `filters` kernels over `channels`, and a bias each.

    `kernel` is (M, N), or one number for a square one; any number of axes will do, and () or a
    dense layer's 1 counts a matrix. With `groups`, a filter sees only its share of the channels.

    >>> parameter_count(5, 3, 40), parameter_count((3, 3), 64, 64), parameter_count((), 576, 64)
    (3040, 36928, 36928)
    """
    axes = len(tuple(kernel)) if isinstance(kernel, Iterable) else 2
    window = math.prod(per_axis(kernel, axes, "kernel size"))
    channels, filters = integer(channels, "channels", 1), integer(filters, "filters", 1)
    groups = integer(groups, "groups", 1)
    for name, number in (("channels", channels), ("filters", filters)):
        if number % groups:
            raise InputError(f"{name} must divide by groups, got {number} {name}, {groups} groups")
    return (window * (channels // groups) + bool(bias)) * filters


def taps(n: int, k: int, p: Padding = 0, s: int = 1, d: int = 1) -> int:
    """Returns how often an element of the kernel meets one of the input, not of the padding."""
    low, _ = padding_widths(n, k, p, s, d)
    positions = [i * s - low for i in range(output_size(n, k, p, s, d))]
    return sum(0 <= first + j * d < n for first in positions for j in range(k))


def multiply_adds(
    shape: Sequence[int],
    kernel: int | Sequence[int],
    channels: int,
    filters: int,
    padding: Padding = 0,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    count_padding: bool = True,
) -> int:
    """Returns the multiply-accumulates of one convolution of one image of spatial `shape`.

    Published tables count those on the zeros of the padding too; XLA's cost analysis, which
    `count_padding=False` equals, does not.
    """
    axes = len(shape)
    outputs = output_shape(shape, kernel, padding, stride, dilation)
    weights = parameter_count(
        per_axis(kernel, axes, "kernel size"), channels, filters, bias=False, groups=groups
    )
    if count_padding:
        return math.prod(outputs) * weights
    columns = (
        shape,
        per_axis(kernel, axes, "kernel size"),
        axis_paddings(padding, axes),
        per_axis(stride, axes, "stride"),
        per_axis(dilation, axes, "dilation"),
    )
    meetings = math.prod(taps(*axis) for axis in zip(*columns, strict=True))
    return meetings * (channels // groups) * filters


def flop_count(*arguments, **options) -> int:
    """Returns 2 * `multiply_adds(...)`: a multiplication and an addition each, biases aside."""
    return 2 * multiply_adds(*arguments, **options)
