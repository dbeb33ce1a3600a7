"""Which variables a run trains, and which stay as they are.

A pattern is a regular expression over the paths of modules, "stage1_block2/conv1". It covers a
module whose path it matches in full, with all that lies inside.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
from flax import linen as nn

from cnnjax import tree
from cnnjax.errors import InputError, nearest
from cnnjax.layers.norm import BatchNorm


def covers(pattern: str, path: Sequence[str]) -> bool:
    """Returns whether the pattern covers the module of a path; an empty pattern covers none."""
    if not pattern:
        return False
    ends = range(1, len(path) + 1)
    return any(re.fullmatch(pattern, "/".join(path[:end])) is not None for end in ends)


def owner(leaf: str) -> tuple[str, ...]:
    """Returns the path of the module that a leaf, "stem/conv/kernel", belongs to."""
    return tuple(leaf.split("/")[:-1])


def split(leaves: Mapping[str, Any], pattern: str) -> tuple[Any, Any]:
    """Returns (trained, frozen) parts of `params` or `batch_stats`; all is trained without one."""
    if not pattern:
        return leaves, {}
    flat = tree.flatten(leaves)
    frozen = {name: leaf for name, leaf in flat.items() if covers(pattern, owner(name))}
    trained = {name: leaf for name, leaf in flat.items() if name not in frozen}
    return tree.unflatten(trained), tree.unflatten(frozen)


def joined(trained: Any, frozen: Mapping[str, Any]) -> Any:
    """Returns the tree whose parts `split` returned."""
    if not frozen:
        return trained
    return tree.unflatten(tree.flatten(trained) | tree.flatten(frozen))


def replaced(new: Any, old: Any, pattern: str) -> Any:
    """Returns `new` with what the pattern covers as it was: a mean of equals may round."""
    return joined(split(new, pattern)[0], split(old, pattern)[1])


@contextlib.contextmanager
def inference(pattern: str) -> Iterator[None]:
    """Inside, BatchNorm that the pattern covers computes as in evaluation: its statistics stay.

    So does Keras with `trainable = False`, and for the same reason: weights that stay were made for
    the statistics that they have. Dropout goes on dropping, as there.
    """

    def intercepted(call: Any, arguments: Any, keywords: Any, context: Any) -> Any:
        module = context.module
        if isinstance(module, BatchNorm) and module.train and covers(pattern, module.path):
            object.__setattr__(module, "train", False)  # Flax's modules are frozen themselves
        return call(*arguments, **keywords)

    with nn.intercept_methods(intercepted) if pattern else contextlib.nullcontext():
        yield


def check(field: str, pattern: str, params: Mapping[str, Any], all_allowed: bool = False) -> None:
    """Raises InputError for a pattern that is no regular expression, or covers nothing.

    Also, unless `all_allowed`, for one that covers all: nothing would be learnt.
    """
    if not pattern:
        return
    try:
        re.compile(pattern)
    except re.error as error:
        raise InputError(f"{field}={pattern!r} is no regular expression: {error}") from None
    paths = [owner(name) for name in tree.flatten(params)]
    found = [covers(pattern, path) for path in paths]
    if not any(found):
        raise InputError(f"{field}={pattern!r} matches no layer{suggested(pattern, paths)}")
    if all(found) and not all_allowed:
        raise InputError(f"{field}={pattern!r} matches every layer: nothing would be trained")


def suggested(pattern: str, paths: Iterable[Sequence[str]]) -> str:
    """Returns the nearest names of modules, or else all at the top."""
    inner = {"/".join(path[:end]) for path in paths for end in range(1, len(path) + 1)}
    close = nearest(pattern, inner)
    if close.startswith("; did"):
        return close
    return nearest(pattern, {name for name in inner if "/" not in name})


def size(leaves: Any) -> int:
    """Returns how many numbers a tree holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(leaves))
