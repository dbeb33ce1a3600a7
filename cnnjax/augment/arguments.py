"""What the arguments of an augmentation may be, told by their annotations."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated

from cnnjax.augment.draws import Number
from cnnjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Limits:
    """Numbers from `low` to `high`.

    Attributes:
      whole: no fractions.
      side: pixels; the shorter side of the image is a limit, too.
    """

    low: float
    high: float = math.inf
    whole: bool = False
    side: bool = False

    def __str__(self) -> str:
        noun = "a whole number" if self.whole else "a number"
        if self.high == math.inf:
            return f"{noun}, {self.low:g} or more"
        return f"{noun} between {self.low:g} and {self.high:g}"

    def check(self, what: str, value: float, sides: tuple[int, int] | None = None) -> None:
        """Raises InputError unless `value` is allowed, and fits images of `sides` if known."""
        right = math.isfinite(value) and self.low <= value <= self.high
        if not right or (self.whole and value != int(value)):
            raise InputError(f"{what} is {self}; given {value:g}")
        if self.side and sides and value > min(sides):
            size = "x".join(map(str, sides))
            raise InputError(
                f"{what} is at most the shorter side of the images, which are {size}; "
                f"given {value:g}"
            )


Angle = Annotated[Number, Limits(0, 180)]  # degrees
Slant = Annotated[Number, Limits(0, 80)]  # degrees
Probability = Annotated[Number, Limits(0, 1)]
Share = Annotated[Number, Limits(0, 1)]
Strength = Annotated[Number, Limits(0, 1)]  # of a factor in 1 ± strength that may be 0
Change = Annotated[Number, Limits(0, 0.9)]  # of a factor in 1 ± strength that may not
Factor = Annotated[Number, Limits(0.1, 10)]
Area = Annotated[Number, Limits(0.01, 1)]
Ratio = Annotated[Number, Limits(1, 10)]
Turn = Annotated[Number, Limits(0, 0.5)]  # of the circle of hues
Level = Annotated[Number, Limits(0, 255)]  # of a pixel
Deviation = Annotated[Number, Limits(0, 10)]  # pixels
Side = Annotated[Number, Limits(0, whole=True, side=True)]  # pixels
Concentration = Annotated[Number, Limits(0, 100)]
