"""Exports: whole files or none, and each read back by what it is for."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from cnnjax import export
from cnnjax.errors import Failure, InputError
from cnnjax.evaluation import opened
from tests.test_entry_points import command
from tests.test_opened import answers, own, workdir  # noqa: F401 - fixtures

ALONE = """
import sys, jax, numpy
made = jax.export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
for count in (1, 3):
    pixels = numpy.load(sys.argv[2])[:count]
    numpy.save(f"{sys.argv[3]}{count}.npy", numpy.asarray(made.call(pixels)))
assert not [name for name in sys.modules if name.startswith(("cnnjax", "flax"))]
"""


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def test_a_program_runs_in_a_process_without_this_project(workdir, tmp_path):  # noqa: F811
    network = opened.network(workdir)
    export.write(network, "stablehlo", tmp_path / "tiny.stablehlo")
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (3, *network.shape), np.uint8)
    np.save(tmp_path / "pixels.npy", pixels.astype(np.float32))
    given = [tmp_path / name for name in ("tiny.stablehlo", "pixels.npy", "logits")]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-P", "-c", ALONE, *map(str, given)],
        cwd=tmp_path, env=environment, check=True, timeout=120,
    )  # fmt: skip
    for count in (1, 3):
        found = softmax(np.load(tmp_path / f"logits{count}.npy"))
        np.testing.assert_allclose(found, answers(network, 3)[:count], rtol=1e-5, atol=1e-6)
    told = json.loads((tmp_path / "tiny.stablehlo.json").read_text())
    assert tuple(told["description"]["classes"]) == network.class_names
    again = opened.network(tmp_path / "tiny.stablehlo")
    np.testing.assert_allclose(answers(again), answers(network), rtol=1e-5, atol=1e-6)


def test_a_program_that_is_another_or_reaches_out_is_not_run(tmp_path, own):  # noqa: F811
    import jax
    import jax.numpy as jnp

    from cnnjax import compiler
    from cnnjax.images import description

    network = opened.network(own)
    export.write(network, "stablehlo", path := tmp_path / "x.stablehlo")

    def solved(x):  # by LAPACK, called by name
        return jnp.linalg.cholesky(x)

    made = compiler.exported(solved, jax.ShapeDtypeStruct((4, 4), jnp.float32), platforms=["cpu"])
    path.write_bytes(made.serialize())
    with pytest.raises(InputError, match="is not the program"):
        opened.network(path)
    record = json.loads((beside := tmp_path / "x.stablehlo.json").read_text())
    record["network"]["stablehlo"] = description.digest(path)
    beside.write_text(json.dumps(record))
    with pytest.raises(InputError, match="reaches outside"):
        opened.network(path)
    path.write_bytes(b"no program")
    record["network"]["stablehlo"] = description.digest(path)
    beside.write_text(json.dumps(record))
    with pytest.raises(InputError, match="no program that this version"):
        opened.network(path)


def test_nothing_is_replaced_or_left_half_without_a_word(own, tmp_path, monkeypatch):  # noqa: F811
    network = opened.network(own)
    (path := tmp_path / "mine").write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        export.write(network, "safetensors", path)
    assert path.read_text() == "precious"

    def full(network, part):
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(export.FORMATS, "safetensors", full)
    with pytest.raises(Failure, match="no space is left"):
        export.write(network, "safetensors", path, overwrite=True)
    assert path.read_text() == "precious" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="/proc/x cannot be written"):
        export.write(network, "safetensors", type(path)("/proc/x"))


def test_without_its_library_onnx_is_refused_with_the_way_to_it(own, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(InputError, match="pip install --no-deps jax2onnx.*--format=stablehlo"):
        export.write(opened.network(own), "onnx", tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--output=OUT/none/x.st"], "there is no folder"),
        (["--output=OUT"], "is a folder"),
        ([], "--output=FILE is missing"),
        (["--output=OUT/x", "--format=caffe"], "format"),
    ],
)
def test_commands_refuse_in_a_line(own, tmp_path, flags, said):  # noqa: F811
    flags = [flag.replace("OUT", str(tmp_path)) for flag in flags]
    done = command("export", f"--weights={own}", *flags)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_command_writes_where_home_is(own, tmp_path):  # noqa: F811
    done = command("export", f"--weights={own}", "--output=~/a.safetensors", HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.safetensors").stat().st_size > own.stat().st_size // 2
    assert "transfer.load('a.safetensors')" in done.stdout
