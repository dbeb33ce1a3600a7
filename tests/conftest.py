"""Eight fake devices on the CPU for every test, and what the tests share."""

import os
from pathlib import Path

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)

SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, which is not part of the project")
    return SHARED


@pytest.fixture(autouse=True, scope="session")
def caches_of_our_own(tmp_path_factory):
    """Keeps the user's cache folder out of the tests."""
    os.environ.setdefault("CNNJAX_CACHE", str(tmp_path_factory.mktemp("cache")))
