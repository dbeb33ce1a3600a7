"""Whatever runs short is named as what it is, in one line."""

import errno
import os
import subprocess
import sys

import pytest

from experiments import launch
from tests.test_entry_points import ROOT, TINY


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE), "x"), "more files are open"),
        (OSError(errno.ENFILE, "no table entry left"), "more files are open"),
        (ValueError(f"RESOURCE_EXHAUSTED: [{os.strerror(errno.EMFILE)}]"), "more files are open"),
        (RuntimeError("RESOURCE_EXHAUSTED: 3 GiB"), "the memory of the device"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_a_shortage_is_told_of_as_what_is_short(error, words):
    assert words in str(launch.shortage(error))
    assert launch.shortage(ValueError("something else")) is None


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("name", ["train", "summary"])
def test_a_full_standard_output_is_no_full_workdir(tmp_path, name, unbuffered):
    flags = (*TINY, f"--workdir={tmp_path / 'run'}") if name == "train" else ("--model=lenet5",)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            (sys.executable, "-m", f"experiments.{name}", *flags),
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode == launch.FAILED
    assert done.stderr == "error: standard output cannot be written: No space left on device\n"


def test_a_reader_who_leaves_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        (sys.executable, "-m", "experiments.summary", "--model=lenet5"),
        cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, timeout=300,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (launch.FAILED, "")
