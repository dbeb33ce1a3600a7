"""The rules of the house: who may import whom, how long a file may be, what an import may do."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEVELS = {
    "registry": 0, "errors": 0, "fields": 0, "config": 0, "caches": 0, "commands": 0,
    "compiler": 0, "memory": 0, "kernels": 0, "onednn": 0, "output": 0, "panels": 0,
    "parallel": 0, "paths": 0, "platform": 0, "tree": 0, "convolution": 0, "history": 0,
    "draws": 0, "threefry": 0,
    "layers": 1, "workdir": 1, "augment": 1, "images": 1,
    "models": 2, "data": 2,
    "transfer": 3, "structure": 3, "tasks": 3,
    "evaluation": 4,
    "export": 5, "train": 5, "explain": 5,
    "sweep": 6, "report": 6,
    "verification": 7, "illustration": 7, "torture": 7, "__main__": 7, "api": 7,
}  # fmt: skip
LIBRARY = sorted((ROOT / "cnnjax").rglob("*.py"))


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in (*LIBRARY, *(ROOT / "experiments").rglob("*.py"))}


def imported(path):
    """Returns the modules of ours that a file imports, inside of functions, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name whole modules, not relative ones"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    ours = {name for name in found if name.partition(".")[0] in ("cnnjax", "experiments")}
    return {name if name in MODULES else name.rpartition(".")[0] for name in ours} - {"cnnjax"}


def room(name):
    return name.split(".")[1]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_lower_levels_only(path):
    for name in imported(path):
        assert not name.startswith("experiments"), f"{path} imports {name}"
        if path.parent == ROOT / "cnnjax" and path.name == "__init__.py":
            raise AssertionError(f"cnnjax/__init__.py imports {name}")
        here, there = room(module_name(path)), room(name)
        allowed = here == there or LEVELS[there] < LEVELS[here]
        # Level 0 has no rooms: its files may use each other, as long as no circle arises.
        assert allowed or LEVELS[there] == LEVELS[here] == 0, f"{path} imports {name}"


@pytest.mark.parametrize("name", MODULES)
def test_a_room_of_kernels_has_one_door(name):
    if name.startswith("cnnjax.") and room(name) in ("kernels", "onednn"):
        return
    inside = {other for other in imported(MODULES[name]) if other.startswith("cnnjax.kernels.")}
    assert not inside, f"{name} imports {inside}; the room has one door, cnnjax.kernels"
    # What environment asks is the version; a table of single layers leaves it out for comparison.
    if "cnnjax.onednn" in imported(MODULES[name]):
        assert name in ("cnnjax.workdir.environment", "experiments.benchmarks.layers")


def test_every_room_has_a_level():
    found = {path.name.removesuffix(".py") for path in (ROOT / "cnnjax").iterdir()}
    assert found - {"__init__", "__pycache__"} <= LEVELS.keys()


def reachable(start):
    """Returns all modules of ours that come along with an import, at once or when called."""
    seen, open_ = set(), {start}
    while open_:
        name = open_.pop()
        seen.add(name)
        parents = {name.rpartition(".")[0]} & MODULES.keys()
        open_ |= (imported(MODULES[name]) | parents) - seen - {"cnnjax"}
    return seen


def test_no_circle_of_imports_within_level_0():
    ground = [name for name in MODULES if name.startswith("cnnjax.") and LEVELS[room(name)] == 0]
    for name in ground:
        for other in reachable(name) - {name}:
            if room(other) != room(name):
                assert name not in reachable(other), f"{name} and {other} import each other"


USES_OF_NETWORKS = [
    *(name for name in MODULES if name.startswith("cnnjax.evaluation")),
    "experiments.evaluate",
    "experiments.predict",
]


@pytest.mark.parametrize("name", USES_OF_NETWORKS)
def test_using_a_network_takes_no_training_code(name):
    assert not {other for other in reachable(name) if other.startswith("cnnjax.train")}
    assert "cnnjax.train.step" in reachable("experiments.train")


def python(code):
    done = subprocess.run(
        (sys.executable, "-W", "error", "-c", code), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


IMPORTS = """
import logging, os, random, signal, sys, threading
# What these do themselves on import is not ours.
import flax.linen, jax, ml_collections, numpy, optax, orbax.checkpoint, PIL.Image, rich.progress
def look():
    return (dict(os.environ), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM),
            list(logging.root.handlers), threading.active_count(), os.listdir(),
            random.getstate(), str(numpy.random.get_state()),
            jax.config.jax_enable_x64, jax.config.jax_platforms)
before = look()
import importlib
for name in {names!r}:
    importlib.import_module(name)
after = look()
assert before == after, [(a, b) for a, b in zip(before, after) if a != b]
# Too late once a device was used.
jax.config.update("jax_num_cpu_devices", 3)
assert jax.device_count() == 3
print(*sys.modules)
"""
# Not required, or slow to import and not always needed.
HEAVY = {"keras", "sklearn", "tensorboard", "tensorflow", "tensorflow_datasets", "torch"}


def test_importing_everything_has_no_effect():
    names = sorted(name for name in MODULES if name.startswith("cnnjax"))
    loaded = set(python(IMPORTS.format(names=names)).split())
    assert loaded.issuperset(names)
    assert HEAVY & loaded == set()


@pytest.mark.parametrize("entry", ["experiments.evaluate", "experiments.predict"])
def test_evaluation_and_prediction_load_no_training_code(entry):
    rooms = [name for name in USES_OF_NETWORKS if not name.startswith("experiments")]
    loaded = python(IMPORTS.format(names=[entry, *rooms])).split()
    assert {entry, "cnnjax.evaluation.trained"} <= set(loaded)
    assert not [name for name in loaded if name.startswith("cnnjax.train")]


def test_importing_the_package_costs_next_to_nothing_beyond_jax():
    clock = "time.perf_counter()"
    code = f"import time, jax; start = {clock}; import cnnjax; print({clock} - start)"
    assert float(python(code)) < 0.2


def test_no_file_is_longer_than_300_lines():
    folders = ("cnnjax", "experiments", "tests", "configs")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > 300} == {}
