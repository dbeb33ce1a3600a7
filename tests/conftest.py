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
    """Keeps the user's cache folder out of the tests, and does no work twice.

    Most of what tests wait for is the compiler; runs that are stopped and resumed, here or as a
    command of their own, are made of the same programs. All workers of pytest-xdist share.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = Path(os.environ.get("CNNJAX_TEST_CACHE", folder))  # tests/mutants.py starts many times
    os.environ.setdefault("CNNJAX_CACHE", str(folder / "cache"))
    for name, value in (("compilation_cache_dir", str(folder / "programs")),
                        ("persistent_cache_min_compile_time_secs", 0)):  # fmt: skip
        os.environ[f"JAX_{name.upper()}"] = str(value)
        jax.config.update(f"jax_{name}", value)


@pytest.fixture(scope="module")
def quick_compilation():
    """For tests that run what they compile once: compiling is nearly all the time they take."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
