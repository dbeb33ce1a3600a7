"""Whether runs survive what machines do to them: harm at random, then the comparison of the end."""

from cnnjax.torture.harms import HARMS
from cnnjax.torture.trials import Outcome, reference, trial

__all__ = ["HARMS", "Outcome", "reference", "trial"]
