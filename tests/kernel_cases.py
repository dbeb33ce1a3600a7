"""Operations with shapes that take each of the kernels: what tests/test_kernels.py tries."""

from collections.abc import Callable
from typing import Any, NamedTuple

from cnnjax.kernels import Window

SAME, NONE = ((1, 1), (1, 1)), ((0, 0), (0, 0))


class Case(NamedTuple):
    """An operation.

    Attributes:
      shapes: of a batch: the shapes of its arrays; those by name are one tree.
      facts: what it is given by name.
      kernels: those that it takes with a batch of 2, in both directions.
      keys: whether the first array is of random keys.
    """

    operation: str
    shapes: Callable[[int], Any]
    facts: dict[str, Any]
    kernels: set[str]
    keys: bool = False


def pool(operation, size, stride, padding, kernels, channels=5, sides=(9, 8)):
    facts = {"size": size, "stride": stride, "padding": padding}
    return Case(operation, lambda n: [(n, *sides, channels)], facts, kernels)


def correlation(x, weights, window, kernels, after=(), relu=False, operation="correlated"):
    """`x` is the shape of one image; `after` are names."""

    def shapes(n):
        shape = dict.fromkeys(("bias", "scale", "shift"), weights[-1:])
        spans = [(k - 1) * d + 1 for k, d in zip(weights, window.dilation, strict=False)]
        sizes = [
            (side + sum(widths) - span) // step + 1
            for side, widths, span, step in zip(
                x, window.padding, spans, window.stride, strict=False)
        ]  # fmt: skip
        shape["shortcut"] = (n, *sizes, weights[-1])
        return [{"x": (n, *x), "weights": weights} | {name: shape[name] for name in after}]

    return Case(operation, shapes, {"window": window, "relu": relu}, kernels)


USUAL = (9, 8, 40), (3, 3, 40, 48), Window((1, 1), SAME, (1, 1))
LARGE = (12, 12, 40), (3, 3, 40, 48), Window((1, 1), SAME, (1, 1))
APART = "gradient_of_weights_apart"
CHANNELS, PIXELS = {APART, "by_channels"}, {APART, "by_pixels"}
SPREAD, ONEDNN = "spread_with_quick_gradient", "computed_by_onednn"
PARTS, PRODUCT, SQUARES = "summed_in_parts", "summed_by_product", "squares_in_rows"
TILES, LARGEST, KEPT = "largest_of_tiles", "largest_pairwise", "relu_kept"
MOMENTS = "normalised_in_two_sums"

CASES = {
    "a sum of many": Case("channel_sum", lambda n: [(n, 16, 16, 3)], {}, {PARTS}),
    "a sum of few": Case("channel_sum", lambda n: [(n, 6, 7, 3)], {}, {PRODUCT}),
    "a sum of very few": Case("channel_sum", lambda n: [(n, 5)], {}, set()),
    "a sum that has no parts": Case("channel_sum", lambda n: [(n, 33, 17, 3)], {}, set()),
    "spread": Case("spread", lambda n: [(5,)], {"shape": (2, 16, 16, 5)}, {SPREAD, PARTS}),
    "squares": Case("square_sum", lambda n: [(n, 3, 16, 64)], {}, {SQUARES}),
    "squares of odd many": Case("square_sum", lambda n: [(n, 3, 7)], {}, set()),
    "moments": Case("normalised", lambda n: [(n, 16, 16, 3), (3,), (3,)],
                    {"epsilon": 1e-3, "axis_name": None}, {MOMENTS, SPREAD, PARTS}),
    "the end of a unit": Case("activated_sum", lambda n: [(n, 4, 4, 3)] * 2, {"act": "relu"},
                              {KEPT}),
    "another end": Case("activated_sum", lambda n: [(n, 4, 4, 3)] * 2, {"act": "tanh"}, set()),
    "a mask": Case("bernoulli", lambda n: [(n,), ()], {"shape": (2, 5, 7)},
                   {"bernoulli_in_one_pass"}, keys=True),
    "tiles": pool("largest", (2, 2), (2, 2), NONE, {TILES}, 16),
    "uneven tiles": pool("largest", (3, 2), (3, 2), NONE, {TILES}, 16),
    "tiles of few channels": pool("largest", (2, 2), (2, 2), NONE, {LARGEST, "largest_apart"}),
    "overlapping": pool("largest", (3, 3), (2, 2), SAME, {LARGEST, "largest_apart"}),
    "large windows": pool("largest", (4, 4), (2, 2), SAME, {"largest_apart"}),
    "in a row": pool("largest", (2,), (2,), ((0, 0),), {TILES}, 16, (9,)),
    "averages": pool("added", (3, 3), (2, 2), SAME, {"added_pairwise"}),
    "large averages": pool("added", (4, 4), (2, 2), SAME, set()),
}  # fmt: skip
# Those of machines without oneDNN; the sums of a gradient of the bias are those of above.
FORMS = {
    "usual": correlation(*USUAL, CHANNELS),
    "strided": correlation((9, 8, 40), (3, 3, 40, 48), Window((2, 3), SAME, (1, 1)), CHANNELS),
    "dilated": correlation((9, 9, 40), (3, 3, 40, 48), Window((1, 1), SAME, (2, 2)), CHANNELS),
    "uneven": correlation((9, 8, 40), (2, 4, 40, 48),
                          Window((2, 1), ((0, 1), (2, 0)), (1, 2)), CHANNELS),
    "left over": correlation((10, 9, 40), (3, 3, 40, 48), Window((4, 4), NONE, (1, 1)),
                             CHANNELS | {"gathered"}),
    "crowded": correlation((2, 2, 5), (3, 3, 5, 4), Window((1, 1), SAME, (1, 1)),
                           CHANNELS | {"gathered"}),
    "crowded, strided": correlation((4, 4, 40), (3, 3, 40, 50), Window((2, 2), SAME, (1, 1)),
                                    CHANNELS | {"gathered"}),
    "crowded, dilated": correlation((5, 1, 4), (3, 2, 4, 5),
                                    Window((1, 1), ((2, 2), (3, 1)), (2, 3)),
                                    PIXELS | {"gathered"}),
    "full": correlation((2, 2, 5), (2, 2, 5, 40), Window((1, 1), SAME, (1, 1)),
                        PIXELS | {"widened"}),
    "few features": correlation((6, 8, 40), (3, 3, 40, 6), Window((1, 1), SAME, (1, 1)),
                                CHANNELS | {"widened"}),
    "few channels": correlation((6, 8, 6), (3, 3, 6, 40), Window((1, 1), SAME, (1, 1)),
                                CHANNELS | {"widened"}),
    "few of both": correlation((6, 8, 6), (3, 5, 6, 4), Window((2, 1), (*SAME[:1], (2, 2)), (1, 1)),
                               CHANNELS | {"widened"}),
    "one channel": correlation((9, 9, 1), (3, 3, 1, 40), Window((1, 1), NONE, (1, 1)),
                               CHANNELS | {"gathered", "widened"}),
    "pointwise": correlation((6, 7, 40), (1, 1, 40, 50), Window((2, 2), NONE, (1, 1)), CHANNELS),
    "in a row, correlated": correlation((9, 3), (4, 3, 5), Window((2,), ((1, 2),), (1,)),
                                        CHANNELS | {"widened"}),
    "in space": correlation((4, 5, 6, 3), (3, 2, 3, 3, 40),
                            Window((1,) * 3, (*SAME, (0, 1)), (1,) * 3), CHANNELS | {"widened"}),
    "groups": correlation((4, 4, 4), (3, 3, 1, 4), Window((1, 1), SAME, (1, 1), 4), set()),
    "a bias and a ReLU": correlation(*USUAL, CHANNELS | {SPREAD, PRODUCT}, ("bias",), True),
    "all that may follow": correlation(
        *USUAL, CHANNELS | {SPREAD, PRODUCT}, ("bias", "scale", "shift", "shortcut"), True),
}  # fmt: skip
# Those of machines with it.
BY_ONEDNN = {
    "by oneDNN": correlation(*LARGE, {ONEDNN}),
    "by oneDNN, strided": correlation((24, 25, 6), (3, 3, 6, 7), Window((2, 2), SAME, (1, 1)),
                                      {ONEDNN}),
    "by oneDNN, in groups": correlation((12, 12, 12), (3, 3, 4, 6),
                                        Window((1, 1), SAME, (1, 1), 3), {ONEDNN}),
    "by oneDNN, depthwise": correlation((12, 12, 16), (3, 3, 1, 16),
                                        Window((1, 1), SAME, (1, 1), 16), {ONEDNN}),
    "by oneDNN, few outputs": correlation(*USUAL, CHANNELS | {ONEDNN}),
    "by oneDNN, pointwise": correlation((12, 12, 24), (1, 1, 24, 33),
                                        Window((1, 1), NONE, (1, 1)), {ONEDNN}),
    "by oneDNN, a bias and a ReLU": correlation(*LARGE, {ONEDNN, SPREAD, PRODUCT}, ("bias",), True),
    "by oneDNN, all that may follow": correlation(
        *LARGE, {ONEDNN, SPREAD, PRODUCT}, ("bias", "scale", "shift", "shortcut"), True),
}  # fmt: skip
