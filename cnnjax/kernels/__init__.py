"""What a CPU computes an operation by where XLA is slow at the plain one: the door of the room.

`operation` makes of a plain function one that takes a quicker kernel for the shapes at hand, where
`rules` knows of one. Nothing else of the room is to be imported from outside.
"""

from cnnjax.kernels import rules  # noqa: F401 - registers the rules
from cnnjax.kernels.door import KERNELS, OPERATIONS, Window, operation
from cnnjax.kernels.sums import channel_sum, spread, square_sum

__all__ = [
    "KERNELS",
    "OPERATIONS",
    "Window",
    "channel_sum",
    "operation",
    "spread",
    "square_sum",
]
