"""The one exception for mistakes that the person at the keyboard can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Unusable input: says what was given, what is allowed and, where known, the nearest guess.

    The entry points print its text as one or two plain lines and exit with status 2; anything
    else that escapes is a defect of ours and keeps its traceback.
    """


# What people are used to type elsewhere, and no comparison of letters finds.
ABBREVIATIONS = {"lr": "learning_rate", "wd": "weight_decay"}


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns ``"; did you mean a, b?"`` for the known names closest to `name`, or all of them."""
    names = sorted(known)
    section, dot, word = str(name).rpartition(".")
    if (meant := section + dot + ABBREVIATIONS.get(word, "")) in names:
        return f"; did you mean {meant}?"
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    if close:
        return f"; did you mean {', '.join(close)}?"
    return f"; known: {', '.join(names)}" if names else ""


class Failure(Exception):
    """A run cannot go on; what it has saved is safe. The text is for the person at the keyboard."""
