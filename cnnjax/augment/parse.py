"""From a text such as `crop(4)|flip|rotate(15, reflect)` to operations whose arguments are right.

Operations follow each other from left to right. Numbers are given in order or by name; a word is
the rule for what lies beyond the edge, which any geometric operation takes.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import re
import typing
from collections.abc import Callable, Iterator, Mapping

from cnnjax import fields
from cnnjax.augment import colour, geometric, mixing, resample, spoil
from cnnjax.augment.arguments import Limits
from cnnjax.errors import InputError, nearest
from cnnjax.registry import Table

GEOMETRIC = geometric.EXACT | geometric.SMOOTH
AUGMENTATIONS: Table[Callable[..., typing.Any]] = Table(
    "augmentation", GEOMETRIC, colour.LIGHT, colour.COLOUR, spoil.SPOIL, mixing.MIXING
)
TERM = re.compile(r"(\w+)\s*(?:\((.*)\))?")


@dataclasses.dataclass(frozen=True)
class Term:
    """One operation of a pipeline.

    Attributes:
      text: as it was written.
      label: the name, numbered from the second of that name on: `rotate`, `rotate2`.
      numbers: argument -> value.
      edge: the rule for what lies beyond the edge, if one was given.
    """

    text: str
    name: str
    label: str
    numbers: dict[str, float] = dataclasses.field(hash=False)
    edge: str | None = None

    @property
    def geometric(self) -> bool:
        return self.name in GEOMETRIC

    @property
    def mixing(self) -> bool:
        return self.name in mixing.MIXING


def parse(text: str) -> tuple[Term, ...]:
    """Returns the operations of `text`, none if it is empty; raises InputError."""
    seen: collections.Counter[str] = collections.Counter()
    terms = []
    for part in text.split("|") if text.strip() else ():
        found = TERM.fullmatch(part.strip())
        if found is None:
            raise InputError(
                f"cannot read {part.strip()!r} in the augmentation {text!r}; "
                "write operations with | between them, as in 'crop(4)|flip|rotate(15)'"
            )
        name, given = found.groups()
        numbers, edge = arguments(part.strip(), name, given or "")
        seen[name] += 1
        label = name if seen[name] == 1 else f"{name}{seen[name]}"
        terms.append(Term(part.strip(), name, label, numbers, edge))
    for term in terms[:-1]:
        if term.mixing:
            raise InputError(
                f"{term.text!r} comes last, and once: nothing can follow in the augmentation "
                f"{text!r}, since it mixes finished images"
            )
    for run in runs(tuple(terms)):
        edge_of(run)
    return tuple(terms)


def written(text: str, values: Mapping[str, float]) -> str:
    """Returns `text` with other numbers, by their names in a Pipeline: {"rotate.degrees": 5.0}."""
    parts = []
    for term in parse(text):
        own = {name: values.get(f"{term.label}.{name}", n) for name, n in term.numbers.items()}
        words = [f"{name}={value!r}" for name, value in own.items()] + [term.edge or ""]
        parts.append(f"{term.name}({', '.join(filter(None, words))})")
    return "|".join(parts)


def limits(name: str) -> dict[str, Limits]:
    """Returns the numbers that the augmentation `name` takes, and their limits."""
    hints = typing.get_type_hints(AUGMENTATIONS[name], include_extras=True)
    return {
        argument: hint.__metadata__[0]
        for argument, hint in hints.items()
        if isinstance(getattr(hint, "__metadata__", (None,))[0], Limits)
    }


def usage(name: str) -> str:
    """Returns what to write, with defaults: `resized_crop(area, ratio=1.33, edge=constant)`."""
    defaults = fields.defaults(AUGMENTATIONS[name])
    shown = [
        argument
        if defaults[argument] is fields.REQUIRED
        else f"{argument}={defaults[argument]:.3g}"
        for argument in limits(name)
    ]
    shown += ["edge=constant"] if name in GEOMETRIC else []
    return f"{name}({', '.join(shown)})"


def arguments(text: str, name: str, given: str) -> tuple[dict[str, float], str | None]:
    """Returns the numbers and the edge rule of one operation, from what stands in its brackets."""
    known = limits(name)
    numbers: dict[str, float] = {}
    edge = None
    for word in given.split(",") if given.strip() else ():
        keyword, equals, value = (part.strip() for part in word.rpartition("="))
        number = as_number(value)
        if number is None or keyword == "edge":
            edge = edge_rule(text, name, value, keyword, edge)
            continue
        if not equals:
            keyword = next((argument for argument in known if argument not in numbers), "")
            if not keyword:
                raise InputError(f"{text!r} has too many numbers; write {usage(name)}")
        if keyword not in known:
            raise InputError(f"{name} has no argument {keyword!r}{nearest(keyword, known)}")
        if keyword in numbers:
            raise InputError(f"{text!r} gives {keyword} twice; write {usage(name)}")
        known[keyword].check(f"{keyword} of {name}", number)
        numbers[keyword] = number
    numbers = fields.defaults(AUGMENTATIONS[name]) | numbers
    missing = [argument for argument in known if numbers[argument] is fields.REQUIRED]
    if missing:
        raise InputError(f"{text!r} lacks {' and '.join(missing)}; write {usage(name)}")
    return {argument: float(numbers[argument]) for argument in known}, edge


def as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def edge_rule(text: str, name: str, word: str, keyword: str, before: str | None) -> str:
    """Returns `word` if it is a rule for what lies beyond the edge, and may stand here."""
    if name not in GEOMETRIC or keyword not in ("", "edge") or not word:
        raise InputError(f"{word!r} in {text!r} is not a number; write {usage(name)}")
    if before is not None:
        raise InputError(f"{text!r} names two rules for what lies beyond the edge; give one")
    resample.EDGES[word]  # raises for an unknown word
    return word


def runs(terms: tuple[Term, ...]) -> Iterator[list[tuple[int, Term]]]:
    """Yields terms with their places: geometric ones that follow each other in one list."""
    places = enumerate(terms)
    for _, run in itertools.groupby(places, lambda p: "run" if p[1].geometric else p[0]):
        yield list(run)


def edge_of(run: list[tuple[int, Term]]) -> str:
    """Returns the rule for what lies beyond the edge in a run of operations; black by default."""
    told = [term for _, term in run if term.edge]
    for term in told[1:]:
        if term.edge != told[0].edge:
            raise InputError(
                f"{told[0].text!r} and {term.text!r} are resampled together and need the same rule "
                "for what lies beyond the edge"
            )
    return told[0].edge or "constant" if told else "constant"


def check_shape(terms: tuple[Term, ...], shape: tuple[int, ...]) -> None:
    """Raises InputError where an operation cannot be done to images of `shape` (h, w, channels)."""
    height, width, channels = shape
    size = "x".join(map(str, shape))
    for term in terms:
        if term.name in colour.COLOUR and channels != 3:
            raise InputError(f"{term.name} needs red, green and blue; the images are {size}")
        for argument, limit in limits(term.name).items():
            what = f"{argument} of {term.name}"
            limit.check(what, term.numbers[argument], (height, width))
