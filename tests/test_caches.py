"""The cache of programs: for whom it is, where it lies, and what is said of it."""

import importlib.metadata
import json
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import pytest

from cnnjax import caches
from cnnjax.data import prepare
from cnnjax.errors import InputError
from tests import tiny

ROOT = Path(__file__).parent.parent
NOBODY = """
import pwd
def nobody(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = nobody
"""


def nobody(number):
    raise KeyError(number)


@pytest.fixture
def homeless(monkeypatch):
    """A user of whom only the number is known, as a container may have."""
    for name in ("HOME", "XDG_CACHE_HOME", "CNNJAX_CACHE", "TFDS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)


def test_who_has_no_home_gets_a_folder_for_temporary_files(homeless, monkeypatch, tmp_path):
    temporary = Path(tempfile.gettempdir())
    assert caches.folder() == temporary / f"cnnjax-{os.getuid()}"
    assert prepare.data_directory(None) == caches.folder() / "tensorflow_datasets"
    assert prepare.data_directory("sets") == Path("sets")
    with pytest.raises(InputError, match="~/sets is in a home, which this user does not have"):
        prepare.data_directory("~/sets")
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path))
    assert caches.folder() == tmp_path


def test_programs_that_another_user_left_in_tmp_are_not_run(homeless, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    caches.folder().mkdir()
    found = os.getuid()
    monkeypatch.setattr(caches, "folder", lambda: tmp_path / f"cnnjax-{found}")
    monkeypatch.setattr(os, "getuid", lambda: found + 1)
    caches.keep_programs()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    monkeypatch.setattr(os, "getuid", lambda: found)
    caches.keep_programs()
    assert Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).is_relative_to(tmp_path)


COMMANDS = (
    ("summary", "--config=configs/digits.py"),
    ("verify", "--only=P01"),
    pytest.param(("train", *tiny.flags(epochs=1.0)), marks=pytest.mark.slow),
)


@pytest.mark.parametrize("words", COMMANDS, ids=str)
@pytest.mark.parametrize("cache", ["", "cache"])
def test_a_command_needs_no_home(words, cache, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NOBODY)
    kept = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    if cache:
        kept["CNNJAX_CACHE"] = str(tmp_path / cache)
    if words[0] == "train":
        words = (*words, f"--workdir={tmp_path / 'run'}")
    line = (sys.executable, "-m", f"experiments.{words[0]}", *words[1:])
    done = subprocess.run(line, cwd=ROOT, env=kept, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    programs = tmp_path / (cache or f"cnnjax-{os.getuid()}") / "programs"
    assert programs.is_dir() and not (ROOT / "~").exists()


def test_versions_and_processors_share_no_programs(monkeypatch):
    here = caches.compilers_and_processor()
    assert f"jaxlib-{importlib.metadata.version('jaxlib')}_" in here
    monkeypatch.setattr(caches, "processor", lambda: "another")
    assert caches.compilers_and_processor() != here
    monkeypatch.undo()
    assert caches.compilers_and_processor() == here
    version = importlib.metadata.version
    newer = {"jaxlib": "0.99"}
    monkeypatch.setattr(importlib.metadata, "version", lambda p: newer.get(p) or version(p))
    assert caches.compilers_and_processor() != here


def test_a_processor_is_known_by_what_it_can_do(monkeypatch):
    text = (
        "processor\t: 0\nmodel name\t: One\nflags\t\t: fpu avx\ncpu MHz\t\t: {}\n\nprocessor: 1\n"
    )
    found = []
    for described in (text.format(1), text.format(2), text.format(1).replace("avx", "avx2")):
        monkeypatch.setattr(Path, "read_text", lambda self, described=described: described)
        found.append(caches.processor())
    assert found[0] == found[1] != found[2] and len(found[0]) == 8


def test_programs_are_counted():
    since, program = caches.counter(), jax.jit(lambda x: x * 7.5 + 0.25)
    assert since() == {"found": 0, "compiled": 0}
    program(3.0)
    first = since()
    assert sum(first.values()) >= 1
    jax.clear_caches()
    again = caches.counter()
    program(3.0)
    assert again()["found"] >= 1 and again()["compiled"] == 0


def test_only_a_second_start_of_the_same_is_told_what_it_missed(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    fresh, most = {"found": 1, "compiled": 9}, {"found": 9, "compiled": 1}
    assert caches.missed(fresh, {"seed": 1}) is None
    assert caches.missed(fresh, {"seed": 2}) is None
    assert caches.missed(most, {"seed": 1}) is None
    assert "9 programs were compiled anew and 1 found" in caches.missed(fresh, {"seed": 1})
    for file in tmp_path.iterdir():
        file.unlink()
    assert caches.missed(fresh, {"seed": 1}) is None
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    assert caches.missed(fresh, {"seed": 1}) is None


@pytest.mark.slow
def test_a_run_says_when_its_programs_cannot_be_used(tmp_path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    kept["CNNJAX_CACHE"] = str(tmp_path)

    def start(name):
        words = (sys.executable, "-m", "experiments.train", *tiny.flags(epochs=1.0))
        line = (*words, f"--workdir={tmp_path / name}")
        done = subprocess.run(line, cwd=ROOT, env=kept, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout, json.loads((tmp_path / name / "result.json").read_text())["programs"]

    first, second = start("first"), start("second")
    # jax 0.12 compiles one program twice in one process, and finds it then.
    assert first[1]["found"] < first[1]["compiled"] and sum(first[1].values()) == second[1]["found"]
    assert second[1]["compiled"] == 0 and "compiled anew" not in first[0] + second[0]
    for file in (tmp_path / "programs").rglob("*-cache"):
        file.write_bytes(b"of no use")
    third = start("third")
    assert third[1]["found"] == 0 and "compiled anew" in third[0]
