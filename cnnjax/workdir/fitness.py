"""Whether a checkpoint that is whole can be used, and what to say where it cannot."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from cnnjax import tree as trees
from cnnjax.errors import InputError
from cnnjax.workdir.integrity import Damaged


class Unreadable(InputError):
    """The machine or a library does not give a checkpoint that may be good."""


@contextlib.contextmanager
def refused(path: Path) -> Iterator[None]:
    """Turns what goes wrong with a checkpoint that is not damaged into an InputError."""
    try:
        yield
    except (Damaged, InputError, MemoryError):
        raise
    except Exception as error:  # of Orbax, TensorStore and the system: almost anything
        if not path.exists():
            raise Damaged("removed meanwhile") from error
        reason = (str(error).strip() or repr(error)).splitlines()[0][:200]
        raise Unreadable(
            f"checkpoint {path} cannot be read, and is not known to be damaged ({reason}); "
            "it stays where it is"
        ) from error


def check_shapes(path: Path, item: str, template: Any) -> None:
    """Refuses a checkpoint of another tree than `template`, and says what differs."""
    place: Any = path / item
    found = leaf_types(ocp.StandardCheckpointHandler().metadata(place))
    difference = trees.difference(leaf_types(template), found)
    if not difference:
        return
    hint = ""
    if "key" in difference:
        hint = "\n(another kind of PRNG key: see JAX_DEFAULT_PRNG_IMPL)"
    raise InputError(
        f"checkpoint {path} is whole, and not of this network, optimiser or version:\n"
        f"{difference}{hint}\nNothing was changed. Use the code and settings it was made with"
    )


def leaf_types(tree: Any) -> dict[str, Any]:
    """Returns dtype and shape of each leaf, "float32[5,5,1,6]", by its path, "params/c1/kernel".

    The fields of a tuple go by their names, as they do in Orbax's metadata.
    """
    if hasattr(tree, "tree"):
        tree = tree.tree
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        "/".join(re.findall(r"\w+", jax.tree_util.keystr(path))): (
            f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
        )
        for path, leaf in leaves
    }
