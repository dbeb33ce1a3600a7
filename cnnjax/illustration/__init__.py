"""The pictures of docs/guide.md, each a function that returns a matplotlib figure.

`PICTURES` need nothing but this project and scikit-learn's two photographs; `fourier` among them
shows the speed of the machine that draws it. `learned.filters` needs a workdir.
"""

from collections.abc import Callable

from matplotlib.figure import Figure

from cnnjax.illustration import arithmetic, augmentation, photographs, timing
from cnnjax.registry import Table

PICTURES: Table[Callable[[], Figure]] = Table(
    "picture",
    augmentation=augmentation.contact_sheet,
    boundaries=arithmetic.boundaries,
    filters=photographs.filters,
    fourier=timing.fourier,
    padding_stride=arithmetic.padding_stride,
    pooling=photographs.pooling,
    steps=arithmetic.steps,
)

# Of too many colours for a PNG of a good size.
PHOTOGRAPHIC = ("augmentation",)

__all__ = ["PHOTOGRAPHIC", "PICTURES"]
