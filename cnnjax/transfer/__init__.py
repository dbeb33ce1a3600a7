"""Weights from elsewhere: files of Keras and PyTorch, read without either."""

from cnnjax.transfer.load import Imported, load, read, read_network

__all__ = ["Imported", "load", "read", "read_network"]
