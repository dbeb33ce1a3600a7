"""Huge pages for malloc: a process starts itself anew, once, and only where that can help."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnjax import memory

ROOT = Path(__file__).parent.parent
CODE = """
import os, sys
print("start", os.getpid())
from cnnjax.memory import use_huge_pages
use_huge_pages()
print(os.getpid(), os.environ.get("GLIBC_TUNABLES", ""), sys.argv[1:])
"""
needs_huge_pages = pytest.mark.skipif(not memory.wanted(), reason="no huge pages to be had here")


def started(*arguments, **environment):
    without = {k: v for k, v in os.environ.items() if k not in ("GLIBC_TUNABLES", memory.SWITCH)}
    done = subprocess.run(
        (sys.executable, "-W", "error", "-c", CODE, *arguments),
        cwd=ROOT, env=without | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


@needs_huge_pages
def test_a_process_starts_anew_once_with_its_number_and_arguments():
    first, second, last = started("a b", "--c=1")
    number = first.split()[1]
    assert second == first
    assert last == f"{number} {':'.join(memory.TUNABLES)} ['a b', '--c=1']"


@needs_huge_pages
def test_other_tunables_stay():
    line = started(GLIBC_TUNABLES="glibc.malloc.check=0")[-1]
    assert f"glibc.malloc.check=0:{':'.join(memory.TUNABLES)} []" in line


@needs_huge_pages
def test_large_blocks_stay():
    """Of a second large array hardly a page is new; with maps of their own all of them are."""
    code = """
import resource
from cnnjax.memory import use_huge_pages
use_huge_pages()
import numpy as np
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(2**28, np.uint8)[::4096] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first = faults()
print(first, faults())
"""
    found = {}
    for value in ("", "0"):
        environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
        done = subprocess.run(
            (sys.executable, "-c", code), cwd=ROOT, capture_output=True, text=True, check=True,
            env=environment | {memory.SWITCH: value, "NUMPY_MADVISE_HUGEPAGE": "0"},
        )  # fmt: skip
        found[value] = [int(number) for number in done.stdout.split()]
    first, second = found[""]
    assert second < first / 10 and found["0"][1] > 1000


@pytest.mark.parametrize(
    "environment", [{memory.SWITCH: "0"}, {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}]
)
def test_whoever_does_not_want_them_is_left_alone(environment):
    assert len(started(**environment)) == 2


@needs_huge_pages
def test_a_kernel_without_them_is_left_alone(monkeypatch, tmp_path):
    file = tmp_path / "enabled"
    for text, expected in (("always madvise [never]\n", False), ("always [madvise] never\n", True)):
        file.write_text(text)
        monkeypatch.setattr(memory, "KERNEL", file)
        assert memory.wanted() is expected
    monkeypatch.setattr(memory, "KERNEL", tmp_path / "none")
    assert not memory.wanted()
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not memory.wanted()
