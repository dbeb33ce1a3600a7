"""Compiles faster: what is compared here runs once."""

import gc

import jax
import pytest


@pytest.fixture(autouse=True, scope="package")
def little_optimisation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(autouse=True)
def memory_of_one_network():
    yield
    jax.clear_caches()
    gc.collect()
