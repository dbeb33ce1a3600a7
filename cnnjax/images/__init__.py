"""Image files: read whatever they are, and turned into what a network expects."""

from __future__ import annotations

from cnnjax.images.description import Description
from cnnjax.images.preprocessing import (
    Preprocessing,
    as_json,
    from_json,
    load,
    normalized,
    resized,
    view,
)  # fmt: skip
from cnnjax.images.presets import PRESETS, preset
from cnnjax.images.read import read

__all__ = [
    "PRESETS", "Description", "Preprocessing", "as_json", "from_json", "load", "normalized",
    "preset", "read", "resized", "view",
]  # fmt: skip
