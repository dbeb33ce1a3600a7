"""Augmentation: each example of a batch changed at random, inside the compiled training step.

A pipeline is a text such as `crop(4)|flip|rotate(15)`; `AUGMENTATIONS` has the words. What an
example becomes is a function of the step's key and its place in the global batch, so one device
and eight augment alike.
"""

from cnnjax.augment.chain import Pipeline, pipeline
from cnnjax.augment.mixing import Targets, unmixed
from cnnjax.augment.moving import Moves
from cnnjax.augment.parse import AUGMENTATIONS

__all__ = ["AUGMENTATIONS", "Moves", "Pipeline", "Targets", "pipeline", "unmixed"]
