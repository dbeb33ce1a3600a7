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
    """

    framework: str
    dialect: str | None
    names: Names
    flattens: str = ""
    ignored: str = ""
    renamed: tuple[str, str] = ("$^", "")

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
