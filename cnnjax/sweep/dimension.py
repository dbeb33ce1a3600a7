"""One field of a space and the values that it may take."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnjax.errors import InputError

RANGE = re.compile(r"(log|uniform|int)\s*\((.*)\)", re.DOTALL)
USAGE = "write log(1e-4, 1e-1), uniform(0, 0.5), int(1, 8), or values with | between them"
OPENING, CLOSING, QUOTES = "([{", ")]}", "'\""


@dataclasses.dataclass(frozen=True)
class Dimension:
    """A field and its values: a range, both ends included, or choices.

    Attributes:
      field: "optimizer.learning_rate", "model.units[0]", "augment.rotate.degrees".
      text: of the values, as it was written.
      kind: "log", "uniform", "int" or "choice".
      step: between the values of "int".
      whole: a "log" of whole numbers.
    """

    field: str
    text: str = dataclasses.field(compare=False)
    kind: str
    low: float = math.nan
    high: float = math.nan
    step: int = 1
    whole: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The choices as text, which is how a storage of trials knows them."""
        return tuple(map(str, self.choices))

    @property
    def size(self) -> float:
        """How many values there are; infinite for real numbers."""
        if self.kind == "choice":
            return len(self.choices)
        if self.kind != "int" and not self.whole:
            return math.inf
        return int(self.high - self.low) // self.step + 1

    def every(self) -> Sequence[Any]:
        """Returns all values of a dimension that has finitely many, smallest first."""
        if self.kind == "choice":
            return self.choices
        if self.kind != "int" and not self.whole:
            raise InputError(
                f"a grid needs to know how many values of {self.field} to take: write "
                f"{self.kind}({self.low:g}, {self.high:g}, 5) for 5 of them"
            )
        return range(int(self.low), int(self.high) + 1, self.step)

    def ends(self) -> tuple[Any, ...]:
        """Returns the values that show whether all are allowed: the ends, or every choice."""
        if self.kind == "choice":
            return self.choices
        whole = self.kind == "int" or self.whole
        return (int(self.low), int(self.high)) if whole else (self.low, self.high)

    def value(self, stored: Any) -> Any:
        """Returns the value that a storage of trials holds as `stored`."""
        return self.choices[self.words.index(stored)] if self.kind == "choice" else stored

    def stored(self, value: Any) -> Any:
        """Returns what a storage of trials holds for a value."""
        return str(value) if self.kind == "choice" else value

    def holds(self, other: Dimension) -> bool:
        """Returns whether every value of `other` is one of these."""
        if self.kind != other.kind:
            return False
        if self.kind == "choice":
            return set(other.words) <= set(self.words)
        return self.low <= other.low and other.high <= self.high and self.step == other.step


def dimension(field: str, text: str) -> Dimension:
    """Returns the values that `text` stands for; raises InputError where it stands for none.

    `log(1e-4, 1e-1)` and `uniform(0, 0.5)` are ranges of real numbers, `int(1, 8)` and
    `int(1, 8, 2)` of whole ones. A third number makes choices of the first two: `log(1, 100, 3)`
    is 1|10|100. Anything else are choices: numbers, words, tuples, quoted text.
    """
    found = RANGE.fullmatch(text.strip())
    if found is None:
        return choice(field, text, split(text, "|"))
    kind, given = found.groups()
    numbers = [number(field, text, part) for part in given.split(",")]
    if len(numbers) not in (2, 3):
        raise InputError(f"{field}={text} needs two ends; {USAGE}")
    low, high, *rest = numbers
    if not low < high:
        raise InputError(f"{field}={text} is empty: the first number must be below the second")
    if kind == "log" and low <= 0:
        raise InputError(f"{field}={text}: a logarithmic range lies above 0")
    if any(part != int(part) for part in (numbers if kind == "int" else rest)):
        raise InputError(f"{field}={text} needs whole numbers")
    if kind == "int":
        if (step := int(rest[0]) if rest else 1) < 1:
            raise InputError(f"{field}={text}: a step is at least 1")
        high = low + (high - low) // step * step
        return Dimension(field, text, kind, low, high, step)
    if rest and rest[0] < 2:
        raise InputError(f"{field}={text}: the third number says how many values; at least 2")
    if rest:
        spaced = (np.geomspace if kind == "log" else np.linspace)(low, high, int(rest[0]))
        rounded = dict.fromkeys(float(f"{value:.6g}") for value in spaced)
        return Dimension(field, text, "choice", choices=tuple(rounded))
    return Dimension(field, text, kind, low, high)


def number(field: str, text: str, part: str) -> float:
    try:
        value = float(part)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{field}={text}: {part.strip()!r} is not a number; {USAGE}")
    return value


def choice(field: str, text: str, parts: list[str]) -> Dimension:
    if not all(part.strip() for part in parts):
        raise InputError(f"{field}={text} has an empty value; {USAGE}")
    if len(parts) == 1 and re.match(r"\w+\s*\(", parts[0]):
        raise InputError(f"{field}={text} is no range; {USAGE}")
    values = tuple(literal(part.strip()) for part in parts)
    if len(set(map(str, values))) < len(values):
        raise InputError(f"{field}={text} names a value twice")
    return Dimension(field, text, "choice", choices=values)


def literal(text: str) -> Any:
    """Returns the number, tuple, boolean or quoted text that is written, or else the word."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def split(text: str, separator: str | None) -> list[str]:
    """Splits text at a character, or at white space, outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in QUOTES:
            quote = character
        elif character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
        elif not depth and (character == separator or (separator is None and character.isspace())):
            parts.append("")
            continue
        parts[-1] += character
    if quote or depth:
        raise InputError(f"{text.strip()!r} has a bracket or quote without its partner")
    return parts
