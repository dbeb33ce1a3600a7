"""Tables of names: what a word in a config stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from cnnjax.errors import InputError, nearest

Value = TypeVar("Value")


class Table(dict[str, Value]):
    """A dict of the things of one `kind`, whose missing-key error suggests names.

    >>> Table("pooling", max=1, average=2)["avg"]
    Traceback (most recent call last):
    cnnjax.errors.InputError: unknown pooling 'avg'; did you mean average?
    """

    def __init__(self, kind: str, *tables: Mapping[str, Value], **entries: Value):
        super().__init__()
        self.kind = kind
        for table in (*tables, entries):
            self.merge(table)

    def __missing__(self, name: str) -> Value:
        raise InputError(f"unknown {self.kind} {name!r}{nearest(name, self)}")

    def merge(self, table: Mapping[str, Value]) -> None:
        """Adds the entries of `table`; a name that is taken is a mistake, never an override."""
        taken = sorted(self.keys() & table.keys())
        if taken:
            raise ValueError(f"{self.kind} defined twice: {', '.join(taken)}")
        self.update(table)
