"""The geometry that convolution and pooling share: sizes, strides and padding of their windows."""

from __future__ import annotations

from collections.abc import Sequence

import jax

from cnnjax.errors import InputError, nearest
from cnnjax.kernels import Window as Window

Size = int | Sequence[int]
Padding = str | int | Sequence[int] | Sequence[tuple[int, int]]
Widths = tuple[tuple[int, int], ...]

PADDINGS = ("valid", "same", "full", "edge", "reflect")


def spatial(x: jax.Array) -> tuple[int, ...]:
    """Returns the spatial sizes of `x`, (batch, *spatial, channels) with one to three of them."""
    if not 1 <= x.ndim - 2 <= 3:
        raise InputError(
            f"an array of shape {x.shape} is not (batch, *spatial, channels) with one, two or "
            "three spatial dimensions"
        )
    return x.shape[1:-1]


def each(size: Size, dimensions: int, what: str = "size") -> tuple[int, ...]:
    """Returns `size` as one integer per spatial dimension."""
    sizes = tuple(size) if isinstance(size, Sequence) else (size,) * dimensions
    if len(sizes) != dimensions or any(not isinstance(n, int) or n < 1 for n in sizes):
        raise InputError(
            f"{what} must be a positive integer, or one for each of the {dimensions} spatial "
            f"dimensions, not {size!r}"
        )
    return sizes


def pad_widths(
    padding: Padding, sizes: Sequence[int], window: Sequence[int], stride: Sequence[int]
) -> Widths:
    """Returns (before, after) per dimension for a `window` whose dilation is already counted in.

    "valid" adds nothing; "full" adds window - 1 on both sides; "same" (and "edge", "reflect", which
    differ only in what they fill in) gives ceil(size / stride) outputs and puts the odd pixel
    after, as TensorFlow and Keras do. An integer p is p on every side, as in PyTorch; a sequence
    holds one p, or one (before, after), per dimension.
    """
    if padding == "valid":
        return tuple((0, 0) for _ in sizes)
    if padding == "full":
        return tuple((k - 1, k - 1) for k in window)
    if padding in PADDINGS:
        return tuple(map(same_widths, sizes, window, stride))
    if isinstance(padding, str):
        raise InputError(f"unknown padding {padding!r}{nearest(padding, PADDINGS)}")
    widths = padding if isinstance(padding, Sequence) else (padding,) * len(sizes)
    pairs = [p if isinstance(p, Sequence) else (p, p) for p in widths]
    if (
        len(pairs) != len(sizes)
        or any(len(pair) != 2 for pair in pairs)
        or any(not isinstance(p, int) or p < 0 for pair in pairs for p in pair)
    ):
        raise InputError(
            f"padding must be one of {', '.join(PADDINGS)}, a width of zero or more, or "
            f"{len(sizes)} widths or (before, after) pairs, not {padding!r}"
        )
    return tuple((before, after) for before, after in pairs)


def same_widths(n: int, k: int, s: int) -> tuple[int, int]:
    """Returns the (before, after) that give an input of `n` ceil(n / s) windows of `k`."""
    total = max((-(-n // s) - 1) * s + k - n, 0)
    return total // 2, total - total // 2


def check_fits(sizes: Sequence[int], window: Sequence[int], widths: Widths) -> None:
    """Refuses a window that is larger than the padded input."""
    padded = tuple(n + sum(pair) for n, pair in zip(sizes, widths, strict=True))
    if any(n < k for n, k in zip(padded, window, strict=True)):
        raise InputError(
            f"a window of {by(window)} does not fit an input of {by(sizes)}, "
            f"{by(padded)} with its padding"
        )


def by(sizes: Sequence[int]) -> str:
    """Returns the sizes as one reads them out: 3x3."""
    return "x".join(map(str, sizes))
