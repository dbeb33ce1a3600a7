"""A checkpoint that is whole and cannot be used is refused, and stays where it is."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import pytest

from cnnjax.errors import InputError
from cnnjax.models import lenet
from cnnjax.train import run
from cnnjax.workdir import checkpoint
from tests import tiny

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run that has checkpoints and no result."""
    workdir = tmp_path_factory.mktemp("interrupted") / "run"
    run.run(tiny.config(), workdir)
    (workdir / "result.json").unlink()
    return workdir


def kept(workdir):
    """Returns what must not change: checkpoints and metrics, with their bytes and times."""
    found = tiny.contents(workdir)
    return {k: v for k, v in found.items() if k.startswith(("checkpoints", "metrics", "damaged"))}


def refuse(workdir, match, **changes):
    before = kept(workdir)
    with pytest.raises(InputError, match=match) as caught:
        run.run(tiny.config(**changes), workdir)
    assert kept(workdir) == before
    return str(caught.value)


def renamed(monkeypatch):
    """LeNet with another name for its second convolution."""
    conv = lenet.Conv

    def other(*args, name, **fields):
        return conv(*args, name={"c3": "c2"}.get(name, name), **fields)

    monkeypatch.setattr(lenet, "Conv", other)


def test_a_layer_that_was_renamed(interrupted, monkeypatch):
    renamed(monkeypatch)
    said = refuse(interrupted, "is whole, and not of this network")
    assert "missing" in said and "params/c2/kernel" in said and "near: params/c3/kernel" in said


def test_evaluation_refuses_it_too(interrupted):
    template = {"params": {"c1": jax.ShapeDtypeStruct((3,), jnp.float32)}, "batch_stats": {}}
    before = kept(interrupted)
    with pytest.raises(InputError, match=r"misshapen|left over"):
        checkpoint.read_variables(interrupted, template)
    assert kept(interrupted) == before


def test_another_kind_of_key(interrupted):
    with jax.default_prng_impl("rbg"):
        said = refuse(interrupted, "JAX_DEFAULT_PRNG_IMPL")
    assert "uint32[4]" in said and "uint32[2]" in said


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.EMFILE, errno.ESTALE])
@pytest.mark.parametrize("name", ["files.json", "manifest.ocdbt"])
def test_a_file_that_the_system_does_not_give(interrupted, monkeypatch, code, name):
    usual = Path.open

    def blocked(path, *args, **fields):
        if path.name == name and "checkpoints" in path.parts:
            raise OSError(code, os.strerror(code), str(path))
        return usual(path, *args, **fields)

    def read_bytes(path):
        with path.open("rb") as file:
            return file.read()

    before = kept(interrupted)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", blocked)
        patch.setattr(Path, "read_bytes", read_bytes)
        reason = rf"not known to be damaged \(.*{os.strerror(code)}"
        with pytest.raises(InputError, match=reason):
            run.run(tiny.config(), interrupted)
    assert kept(interrupted) == before


@pytest.mark.parametrize("error", [RuntimeError("no such codec"), KeyError("x")])
def test_a_library_that_cannot_read(interrupted, monkeypatch, error):
    def restore(*args, **fields):
        raise error

    monkeypatch.setattr(ocp.Checkpointer, "restore", restore)
    refuse(interrupted, "it stays where it is")


def test_a_checkpoint_that_a_run_removes_meanwhile_is_passed_over(interrupted, monkeypatch, capsys):
    *_, older, newest = checkpoint.steps(interrupted)
    away = interrupted / "away"
    usual = ocp.Checkpointer.restore

    def restore(self, path, *args, **fields):
        if path.name == str(newest) and path.exists():
            path.rename(away)
        return usual(self, path, *args, **fields)

    monkeypatch.setattr(ocp.Checkpointer, "restore", restore)
    template = {"params": {}, "batch_stats": {}}
    monkeypatch.setattr(checkpoint, "check_shapes", lambda *unused: None)
    with pytest.raises(InputError):  # of the older one, whose tree is another than the template
        checkpoint.read_variables(interrupted, template)
    assert f"checkpoint {newest} is damaged (removed meanwhile)" in capsys.readouterr().err
    away.rename(interrupted / "checkpoints" / str(newest))
    assert older < newest


def test_the_run_goes_on_once_the_cause_is_gone(interrupted, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        renamed(patch)
        refuse(interrupted, "is whole")
    last = max(checkpoint.steps(interrupted))
    run.run(tiny.config(), interrupted)
    assert f"Resuming {interrupted} at step {last}" in capsys.readouterr().out
    (interrupted / "result.json").unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run as somebody else")
def test_files_of_another_user(interrupted):
    """As the command line shows it, by a process that may not read them."""
    files = [path for path in (interrupted / "checkpoints").rglob("*") if path.is_file()]
    code = (
        "import os, sys; from pathlib import Path\n"
        "from cnnjax.workdir import checkpoint\n"
        "from cnnjax.errors import InputError\n"
        "os.setuid(65534)\n"
        "try: checkpoint.read(Path(sys.argv[1]), int(sys.argv[2]), {})\n"
        "except InputError as error: print(error)\n"
    )
    for path in (interrupted, *interrupted.parents):
        path.chmod(path.stat().st_mode | 0o055)
        if path == Path("/tmp"):
            break
    for path in files:
        path.chmod(0o600)
    step = max(checkpoint.steps(interrupted))
    done = subprocess.run(
        (sys.executable, "-c", code, str(interrupted), str(step)),
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "not known to be damaged" in done.stdout and "Permission denied" in done.stdout
