"""Learning rates of layers, over that of the run: by pattern, and by their distance from the head.

The second is the layer-wise decay of ELECTRA (Clark et al. 2020, arXiv 2003.10555) and BEiT (Bao et
al. 2021, arXiv 2106.08254): the head learns at the full rate, each block at `layer_decay` times the
rate of the next. A block is a module at the top, "stage1_block2".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flax import linen as nn

from cnnjax.errors import InputError
from cnnjax.structure import layers
from cnnjax.train import partition


def factors(
    section: Mapping[str, Any], module: nn.Module, shape: Sequence[int]
) -> Callable[[str], float] | None:
    """Returns the factor of a parameter by its name, of `config.optimizer`; None where all are 1.

    Of several patterns that cover a layer the first one counts.
    """
    pairs, decay = section["rates"], section["layer_decay"]
    if not pairs and decay == 1:
        return None
    distance = distances(module, shape) if decay != 1 else {}

    def factor(name: str) -> float:
        path = partition.owner(name)
        given = (float(rate) for pattern, rate in pairs if partition.covers(pattern, path))
        return next(given, 1.0) * decay ** distance.get(path[0], 0)

    return factor


def distances(module: nn.Module, shape: Sequence[int]) -> dict[str, int]:
    """Returns how many blocks with weights follow each block, in the order of their calls."""
    traced = layers.trace(module, tuple(shape)).layers
    blocks = dict.fromkeys(layer.name.split("/")[0] for layer in traced if layer.trainable)
    return {block: len(blocks) - 1 - i for i, block in enumerate(blocks)}


def check(pairs: Any, params: Mapping[str, Any]) -> None:
    """Raises InputError for what is no tuple of (pattern, factor), and for unfit patterns."""
    for pair in pairs:
        fits = isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)
        number = pair[1] if fits else None
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < 1e6:
            raise InputError(
                "config.optimizer.rates must be pairs of a pattern and a factor of at least 0, as "
                f"in (('stem', 0.1),); given {pair!r}"
            )
        partition.check("optimizer.rates", pair[0] or " ", params, all_allowed=True)
