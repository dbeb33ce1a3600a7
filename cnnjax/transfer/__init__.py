"""Weights from elsewhere: files of Keras and PyTorch, read without either."""

from cnnjax.transfer.load import load, read

__all__ = ["load", "read"]
