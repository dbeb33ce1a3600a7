"""Who takes part, and in what environment."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from cnnjax import memory
from cnnjax.registry import Table

OURS = "cnnjax"
# What `experiments.launch` sets in the environment of a process, besides `memory.TUNABLES`.
LAUNCHED = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
TUNABLES = "GLIBC_TUNABLES"


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A framework, or one way to use it.

    Attributes:
      title: the column that shows it; where several share one, the fastest of them counts.
      module: in this package, with `facts`, `product` and `prepare`.
      packages: what must be installed.
      options: for `prepare`.
      variables: of the environment.
      asked: whether it takes part only when it is named.
    """

    name: str
    title: str
    module: str
    packages: tuple[str, ...]
    options: Mapping[str, bool] = dataclasses.field(default_factory=dict)
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    asked: bool = False

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]


FLAX = ("jax", "flax", "optax")
LISTED = (
    Contestant(OURS, "cnnjax", "ours", FLAX),
    Contestant("pytorch", "PyTorch", "pytorch", ("torch",)),
    Contestant("pytorch_channels_last", "PyTorch", "pytorch", ("torch",), {"channels_last": True}),
    Contestant("keras", "Keras 3", "keras_jax", ("keras", "jax")),
    Contestant("flax", "plain Flax", "plain_flax", FLAX),
    # What augmentation costs; what the launcher's huge pages are worth, to this project and to one
    # that has none by default.
    Contestant("cnnjax_small_pages", "cnnjax, small pages", "ours", FLAX,
               variables={memory.SWITCH: "0"}, asked=True),
    Contestant("cnnjax_augmented", "cnnjax, augmented", "ours", FLAX, {"augmented": True},
               asked=True),
    Contestant("pytorch_huge_pages", "PyTorch, huge pages", "pytorch", ("torch",),
               variables={TUNABLES: ":".join(memory.TUNABLES)}, asked=True),
)  # fmt: skip
CONTESTANTS: Table[Contestant] = Table("contestant", {c.name: c for c in LISTED})
TITLES = tuple(dict.fromkeys(c.title for c in LISTED))


def environment(name: str, programs: Path) -> dict[str, str]:
    """Returns the environment that the process of a contestant starts in.

    What `experiments.launch` has set for this process is taken away: ours starts through it and
    sets it again, as for any user; the others have it no more than their users do. `programs` is
    where ours keeps what it compiles, in the place of the user's cache; the others keep nothing.
    """
    kept = {key: value for key, value in os.environ.items() if key not in LAUNCHED}
    tunables = [t for t in kept.pop(TUNABLES, "").split(":") if t not in ("", *memory.TUNABLES)]
    if tunables:
        kept[TUNABLES] = ":".join(tunables)
    kept["PYTHONUNBUFFERED"] = "1"
    contestant = CONTESTANTS[name]
    if contestant.module == "ours":
        kept["JAX_COMPILATION_CACHE_DIR"] = str(programs)
    return {**kept, **contestant.variables}
