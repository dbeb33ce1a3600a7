"""Trees of arrays by the names of their leaves: `params/stem/conv/kernel`."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

Shape = tuple[int, ...]


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Returns leaf name -> leaf, in the order of the tree; names are joined by slashes."""
    return traverse_util.flatten_dict(dict(tree), sep="/")


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the nested dict whose `flatten` is `leaves`."""
    return traverse_util.unflatten_dict(dict(leaves), sep="/")


def shapes(tree: Mapping[str, Any]) -> dict[str, Shape]:
    """Returns leaf name -> shape, of arrays or of what `jax.eval_shape` returns."""
    return {name: tuple(leaf.shape) for name, leaf in flatten(tree).items()}


def digests(tree: Mapping[str, Any]) -> dict[str, str]:
    """Returns leaf name -> SHA-256 of the leaf's dtype, shape and values, in hexadecimal."""
    return {name: digest_of_leaf(leaf) for name, leaf in sorted(flatten(tree).items())}


def digest(tree: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of all names and leaves, whatever the order of the dicts."""
    lines = (f"{name} {leaf}\n" for name, leaf in digests(tree).items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def digest_of_leaf(leaf: Any) -> str:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    total = hashlib.sha256(f"{array.dtype.name} {array.shape}\n".encode())
    total.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def difference(
    wanted: Mapping[str, Shape],
    found: Mapping[str, Shape],
    aliases: Mapping[str, str] | None = None,
    limit: int = 20,
) -> str:
    """Returns a table of what is missing, left over or of another shape; empty when all agree.

    `aliases` holds the names under which wanted leaves were looked for, where those are not their
    own. A missing leaf is shown with the left-over names closest to it. At most `limit` rows.
    """
    aliases = aliases or {}
    left_over = sorted(found.keys() - wanted.keys())
    wrong = [name for name in wanted if found.get(name) != wanted[name]]
    rows = []
    for name in wrong[:limit]:
        sought = aliases.get(name, name)
        label = name if sought == name else f"{name} <- {sought}"
        if name in found:
            rows.append(("misshapen", label, f"{wanted[name]}", f"found {found[name]}"))
        else:
            close = ", ".join(difflib.get_close_matches(sought, left_over, n=2, cutoff=0.6))
            rows.append(("missing", label, f"{wanted[name]}", f"near: {close}" if close else ""))
    rows += [("left over", n, f"{found[n]}", "") for n in left_over[: limit - len(rows)]]
    lines = aligned(rows)
    if (count := len(wrong) + len(left_over)) > limit:
        lines.append(f"... and {count - limit} more")
    return "\n".join(lines)


def faults(wanted: Mapping[str, Shape], found: Mapping[str, Shape]) -> int:
    """Returns how many rows `difference` has without its limit."""
    wrong = sum(found.get(name) != shape for name, shape in wanted.items())
    return wrong + len(found.keys() - wanted.keys())


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Returns the rows as lines whose columns begin below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
