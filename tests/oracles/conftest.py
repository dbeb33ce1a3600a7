"""Compiles faster: what is compared here runs once."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def little_optimisation(quick_compilation):
    pass
