"""Convolutions by oneDNN, where its library is there: the only room that calls C."""

from cnnjax.onednn.convolution import Convolution
from cnnjax.onednn.handler import computes, convolve
from cnnjax.onednn.library import version

__all__ = ["Convolution", "computes", "convolve", "version"]
