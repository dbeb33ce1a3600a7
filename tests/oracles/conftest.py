"""Compiles faster: what is compared here runs once."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="package")
def little_optimisation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
