"""The articles as an executable specification.

One file per section of the requirements: `mathematics` and `images` (1.1), `sizes` (1.2),
`parameters` (1.3), `layers` (1.4), `errata` (1.13). `elsewhere` lists the rows that need data or
minutes, with the tests and commands that show them.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Sequence
from typing import Any

from cnnjax.errors import InputError, nearest
from cnnjax.verification import (
    elsewhere,
    errata,
    images,
    layers,
    mathematics,
    parameters,
    sizes,
)
from cnnjax.verification.check import Check, show

SECTIONS: dict[str, tuple[Check, ...]] = {
    "1.1": tuple(sorted(mathematics.CHECKS + images.CHECKS, key=lambda check: check.row)),
    "1.2": sizes.CHECKS,
    "1.3": parameters.CHECKS,
    "1.4": layers.CHECKS,
    "1.13": errata.CHECKS,
}
CHECKS = tuple(check for checks in SECTIONS.values() for check in checks)


@dataclasses.dataclass(frozen=True)
class Result:
    """The answer to one check, in words; `seconds` are those of the wall."""

    row: str
    article: str
    says: str
    expected: str
    computed: str
    passed: bool
    seconds: float

    def record(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def judge(check: Check) -> Result:
    """Runs one check. What it raises is a failure of that check, not of the command."""
    start = time.perf_counter()
    try:
        outcome = check.run()
        expected, computed = show(outcome.expected), show(outcome.computed)
        passed = outcome.passed
    except Exception as error:
        expected, computed = "an answer", f"{type(error).__name__}: {error}"
        passed = False
    seconds = time.perf_counter() - start
    return Result(check.row, check.article, check.says, expected, computed, passed, seconds)


def select(words: Sequence[str]) -> tuple[Check, ...]:
    """Returns the checks named by rows (C01), letters (C), or sections (1.1); all for no words."""
    if not words:
        return CHECKS
    chosen: set[str] = set()
    for word in words:
        section = SECTIONS.get(word, ())
        rows = {
            check.row
            for check in section or CHECKS
            if section or word in (check.row, re.sub(r"\d", "", check.row))
        }
        if not rows:
            known = [*SECTIONS, *(check.row for check in CHECKS)]
            raise InputError(f"no row or section {word!r} is checked here{nearest(word, known)}")
        chosen |= rows
    return tuple(check for check in CHECKS if check.row in chosen)


__all__ = ["CHECKS", "SECTIONS", "Check", "Result", "elsewhere", "judge", "select"]
