"""Several devices and several processes: the only room that knows how many there are."""

from cnnjax.parallel import hosts
from cnnjax.parallel.mapper import AXIS, Mapper, alike, mapper, mean, shaped_like, total, vary

__all__ = ["AXIS", "Mapper", "alike", "hosts", "mapper", "mean", "shaped_like", "total", "vary"]
