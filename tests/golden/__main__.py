"""Writes `networks.json`."""

import jax

from tests import golden

jax.config.update("jax_disable_most_optimizations", True)
golden.write()
