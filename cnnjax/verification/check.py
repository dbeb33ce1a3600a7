"""What a check is: a sentence of an article, and a function that tries to catch us breaking it.

A check's function takes the implementations it judges as arguments, ours by default, so that a
test can hand it a wrong one and see it fail. It returns an `Outcome`; it never prints.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the article states, what was computed here, and whether the two agree."""

    expected: Any
    computed: Any
    passed: bool


@dataclasses.dataclass(frozen=True)
class Check:
    """One row of the specification.

    Attributes:
      row: its name, for example "C01".
      article: "S0" to "S4", several joined by commas; "" where no article says it.
      says: the statement, in our words; where the articles err, what they say and what is right.
      run: the function; all its parameters have defaults.
    """

    row: str
    article: str
    says: str
    run: Callable[..., Outcome]


def close(expected: Any, computed: Any, tolerance: float = 1e-6) -> Outcome:
    """Passes where no number differs by over `tolerance`: arrays, or a dict of arrays, by name."""
    return Outcome(expected, computed, agree(expected, computed, tolerance))


def agree(expected: Any, computed: Any, tolerance: float) -> bool:
    if isinstance(expected, Mapping):
        return expected.keys() == computed.keys() and all(
            agree(expected[key], computed[key], tolerance) for key in expected
        )
    return difference(computed, expected) <= tolerance


def equal(expected: Any, computed: Any) -> Outcome:
    """Passes where both are the same value: numbers, shapes, words, or containers of them."""
    return Outcome(expected, computed, bool(computed == expected))


def below(bound: float, error: float, what: str = "difference") -> Outcome:
    """Passes where `error` is a number under `bound`; not-a-number never passes."""
    return Outcome(f"{what} < {bound:g}", f"{what} {error:.2g}", bool(error < bound))


def above(bound: float, value: float, what: str = "ratio") -> Outcome:
    """Passes where `value` is a number over `bound`; not-a-number never passes."""
    return Outcome(f"{what} > {bound:g}", f"{what} {value:.4g}", bool(value > bound))


def difference(found: Any, reference: Any) -> float:
    """Returns the largest absolute difference, or infinity where the shapes differ."""
    found, reference = 1.0 * np.asarray(found), 1.0 * np.asarray(reference)
    if found.shape != reference.shape:
        return float("inf")
    return float(np.abs(found - reference).max())


def attempt(function: Callable[[], Any]) -> str:
    """Returns the message of the error that `function` raises, or says that it raises none."""
    try:
        function()
    except ValueError as error:
        return str(error)
    return "no error"


def show(value: Any) -> str:
    """Returns `value` on one line: arrays as nested lists, fractions to four digits."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {show(item)}" for key, item in value.items())
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    if isinstance(value, int | float):
        return f"{value:,.0f}"
    if isinstance(value, list | tuple):
        return "(" + " ".join(show(item) for item in value) + ")"
    return str(value)
