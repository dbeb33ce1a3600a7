"""How a source names what we call `stage2_block1/conv1/conv`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

# (path of our module, the network) -> name of the source's module, None for the next in order
Names = Callable[[str, Any], str | None]


@dataclasses.dataclass(frozen=True)
class Rule:
    """One way in which weights of a family come.

    Attributes:
      framework: "keras" or "torch": how the file names tensors and lays them out.
      dialect: of `models.DIALECTS`, the function that these weights belong to; None for a family
        without dialects.
      names: see `Names`.
      flattens: pattern of the paths of dense layers whose input is a flattened stack of maps; their
        kernels fit one size of images, and torch orders them otherwise.
      ignored: pattern of the source's names that may be left over.
      renamed: (pattern, replacement) for names of older files.
      fields: of the network, that these names stand for besides their dialect.
      doubtful: fields that tensors do not tell, and whose defaults are no more common than other
        values: they must be given.
      assumed: fields whose defaults are taken, and said aloud, where none are given.
      inferred: (tensors of the file) -> fields that shapes determine.
      preprocessing: name of a preset in `images.presets`, of the weights that come so.
    """

    framework: str
    dialect: str | None
    names: Names
    flattens: str = ""
    ignored: str = ""
    renamed: tuple[str, str] = ("$^", "")
    fields: tuple[tuple[str, Any], ...] = ()
    doubtful: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    inferred: Callable[[Any], dict[str, Any]] | None = None
    preprocessing: str = ""

    def name(self, path: str, net: Any) -> str | None:
        """Returns the source's name of the module `path`.

        A path that only unusual fields produce has no name there: it keeps its own, under which it
        will be reported as missing.
        """
        try:
            return self.names(path, net)
        except (LookupError, TypeError, ValueError):
            return path


def in_order(path: str, net: Any) -> None:
    """Names nothing: modules correspond by their order."""
    del path, net


def place(path: str) -> tuple[int, int, str]:
    """Returns 2, 1, "conv1/conv" for "stage2_block1/conv1/conv"; a LookupError elsewhere."""
    match = re.fullmatch(r"stage(\d+)_block(\d+)/(.+)", path)
    if match is None:
        raise LookupError(path)
    return int(match[1]), int(match[2]), match[3]


def in_stage(path: str) -> bool:
    return path.startswith("stage")
