"""A full disk ends a run with a sentence, and costs nothing that was saved."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from cnnjax.errors import Failure
from cnnjax.train import run
from cnnjax.workdir import checkpoint
from cnnjax.workdir.disk import full_disk_is_a_failure
from tests import tiny

ROOT = Path(__file__).parent.parent


@pytest.fixture
def small_disk(tmp_path):
    """A file system of three megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", "size=3m", "none", disk), capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    yield disk
    subprocess.run(("umount", "--lazy", disk), check=True)


# Kilobytes that are left: for no checkpoint, for one or two, for several.
@pytest.mark.parametrize("room", [20, 250, 420])
def test_a_run_on_a_full_disk_keeps_what_it_saved_and_goes_on_later(small_disk, tmp_path, room):
    ballast, workdir = small_disk / "ballast", small_disk / "work"
    ballast.write_bytes(bytes(3 * 2**20 - room * 1024))
    words = [*tiny.flags(report__tensorboard=True, epochs=40.0), f"--workdir={workdir}"]
    done = subprocess.run(
        (sys.executable, "-m", "experiments.train", *words),
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1 and "no space is left on the disk" in done.stderr
    steps = checkpoint.steps(workdir)
    assert bool(steps) == (room > 20)
    assert ("is intact" if steps else "Nothing was saved") in done.stderr
    assert f"of step {steps[-1]} is" in done.stderr if steps else True
    assert not list((workdir / "checkpoints").glob("*tmp*"))
    ballast.unlink()
    found = run.run(tiny.config(report__tensorboard=True, epochs=40.0), workdir)
    expected = run.run(tiny.config(epochs=40.0), tmp_path / "undisturbed")
    assert found["params_sha256"] == expected["params_sha256"]
    assert found["test_loss"] == expected["test_loss"]
    assert tiny.metrics(workdir) == tiny.metrics(tmp_path / "undisturbed")


FULL = """
import sys
from pathlib import Path
from cnnjax.train.log import Log
log = Log(Path(sys.argv[1]), 0, 10, True, units={})
try:
    with log:
        for step in range(1000):
            log.events.scalar("loss", 1.0, step)
        log.flush()
except OSError as error:
    print(error.strerror, log.file.closed)
"""


def test_an_event_file_on_a_full_disk_is_told_of_once(small_disk):
    (small_disk / "ballast").write_bytes(bytes(3 * 2**20 - 8 * 1024))
    # In development mode Python tells of files that cannot be closed by the collector.
    words = (sys.executable, "-X", "dev", "-W", "ignore", "-c", FULL, small_disk)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "No space left on device True\n" and done.stderr == ""


def fail(error):
    raise error


def chained(cause):
    try:
        fail(cause)
    except Exception as error:
        raise ValueError("something else") from error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EDQUOT, "too much"),
        ValueError("RESOURCE_EXHAUSTED: Failed to write: No space left on device [os_error='28']"),
    ],
)
def test_whatever_a_full_disk_has_led_to_is_told_as_such(tmp_path, error):
    for act in (fail, chained):
        with pytest.raises(Failure, match="Nothing was saved"), full_disk_is_a_failure(tmp_path):
            act(error)


def test_other_errors_are_left_alone(tmp_path):
    for error in (OSError(errno.EACCES, "denied"), ValueError("wrong")):
        with pytest.raises(type(error)) as caught, full_disk_is_a_failure(tmp_path):
            fail(error)
        assert caught.value is error
