"""Convolutional networks in JAX."""
