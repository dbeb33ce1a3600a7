"""Known faults of XLA: none shows in what we compile; each would be noticed."""

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from cnnjax import compiler, platform
from cnnjax.train import run
from tests import tiny

BY_ISSUE = {fault.issue: fault for fault in platform.FAULTS}
OPTION = "xla_cpu_experimental_ynn_fusion_type"
# Of single operations, which nobody compiles: there is nothing to put a wrong compiler in place of.
EAGER = {"jax-ml/jax#40633", "jax-ml/jax#39025"}


def without_options(function, **keywords):
    return compiler.jit(function, platform="none", **keywords)


@pytest.fixture
def no_option(monkeypatch):
    """Compiles without the option that keeps XLA:CPU from fusing wrongly."""
    kept = {name: value for name, value in compiler.CPU_OPTIONS.items() if name != OPTION}
    monkeypatch.setattr(compiler, "CPU_OPTIONS", kept)
    for cached in (compiler.options, platform.failing):
        cached.cache_clear()
    yield
    monkeypatch.undo()
    for cached in (compiler.options, platform.failing):
        cached.cache_clear()


@pytest.mark.parametrize("issue", BY_ISSUE)
def test_no_known_fault_shows_here(issue):
    fault = BY_ISSUE[issue]
    assert fault.right(compiler.jit, fault.sizes[0]), str(fault)


@pytest.mark.parametrize("issue", sorted(BY_ISSUE.keys() - EAGER))
def test_a_wrong_value_is_noticed(issue):
    def wrong(function):
        def program(*args):
            # The last number of the result is off.
            results, tree = jax.tree.flatten(jax.jit(function)(*args))
            last = np.array(results[-1])
            last.flat[-1] = np.nan_to_num(last.flat[-1]) + 1
            return jax.tree.unflatten(tree, [*results[:-1], last])

        text = SimpleNamespace(as_text=lambda: f"%{platform.FUSION} = fusion()")
        program.compiled = lambda *args: text
        return program

    fault = BY_ISSUE[issue]
    assert not fault.right(wrong, fault.sizes[0])


def test_wrong_single_operations_are_noticed(monkeypatch):
    sqrt = jax.numpy.sqrt
    monkeypatch.setattr(jax.numpy, "sqrt", lambda x: 0 * sqrt(x))
    assert not platform.one_by_one(compiler.jit, 512)
    monkeypatch.setattr(jax.numpy, "arange", lambda count: np.zeros(count, np.int32))
    assert not platform.gathered(compiler.jit, 2)


@pytest.mark.skipif(jax.__version__ != "0.10.2", reason="other versions may be right without it")
@pytest.mark.parametrize("number", [39103, 39257, 40412])
def test_without_our_options_the_fault_is_there(number):
    fault = BY_ISSUE[f"jax-ml/jax#{number}"]
    assert not fault.right(without_options, fault.sizes[0])


@pytest.mark.skipif(jax.__version__ != "0.10.2", reason="other versions may be right without it")
def test_a_run_refuses_a_platform_that_is_wrong(no_option, monkeypatch, tmp_path):
    monkeypatch.setattr(run, "load_data", lambda config: pytest.fail("data were read"))
    with pytest.raises(platform.Wrong, match=r"jax-ml/jax#39103.*XLA_FLAGS="):
        run.run(tiny.config(), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.skipif(jax.__version__ != "0.10.2", reason="other versions may be right without it")
def test_a_run_goes_on_where_it_is_told_to(no_option, tmp_path, capsys):
    run.run(tiny.config(epochs=1.0), tmp_path, ignore_platform=True)
    assert "Ignored: XLA leaves the last rows" in capsys.readouterr().out
    found = json.loads((tmp_path / "env.json").read_text())["faults"]
    assert found["wrong"] == ["jax-ml/jax#39103", "jax-ml/jax#39257", "jax-ml/jax#40412"]
    assert set(found["tried"]) >= set(found["wrong"])


REFUSED = """
import sys
from absl import flags
from cnnjax import platform
from experiments import NAME, launch
platform.failing = lambda _: platform.FAULTS[:1]
sys.exit(launch.guarded(NAME.main, flags.FLAGS(sys.argv)))
"""


@pytest.mark.parametrize("name", ["train", "evaluate", "predict", "explain"])
def test_what_computes_refuses_a_platform_that_is_wrong(name, tmp_path):
    words = {"train": ["--config=tests/tiny.py"], "predict": ["digit.png"]}.get(name, [])
    command = (sys.executable, "-c", REFUSED.replace("NAME", name), f"--workdir={tmp_path}", *words)
    found = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert found.returncode == 1, found.stderr
    said = found.stderr.splitlines()
    assert len(said) == 1 and said[0].startswith("error: XLA leaves the last rows"), found.stderr
    assert said[0].endswith("With --ignore_platform it goes on all the same")


CURED = f"""
from cnnjax import compiler, platform
compiler.CPU_OPTIONS.pop({OPTION!r})
print([fault.issue for fault in platform.failing("cpu")])
"""


def test_the_cure_that_is_told_cures(monkeypatch):
    fault = BY_ISSUE["jax-ml/jax#39103"]
    (flag,) = [word for word in fault.cure.split() if word.startswith("XLA_FLAGS=")]
    monkeypatch.setenv("XLA_FLAGS", flag.removeprefix("XLA_FLAGS="))
    done = subprocess.run((sys.executable, "-c", CURED), capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.slow
def test_verify_tries_all_at_length():
    words = (sys.executable, "-m", "experiments.verify", "--platform", "--json")
    done = subprocess.run(words, capture_output=True, text=True)
    rows = json.loads(done.stdout)
    assert [row["issue"] for row in rows] == list(BY_ISSUE) and len(rows) >= 12
    assert done.returncode == 0 and all(row["right"] for row in rows), done.stdout


def test_a_start_tries_the_known_faults_in_less_than_a_second():
    """Of the processor's time, with programs compiled before, as from the second start on."""
    for _ in range(2):
        platform.failing.cache_clear()
        before = time.process_time()
        assert platform.failing("cpu") == ()
        seconds = time.process_time() - before
    assert seconds < 1
