"""Whatever lies where a run, a cache or a device is looked for ends in a sentence, or is passed."""

import json
import os
import random
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cnnjax.data.cache import cached
from cnnjax.errors import Failure, InputError
from cnnjax.evaluation import trained
from cnnjax.train import run
from cnnjax.workdir import files
from tests import fuzz, tiny
from tests.test_checkpoint_refusals import kept

ROOT = Path(__file__).parent.parent
WORDS = (b"", b"{", b"[]", b"null", b"3", b'"x"', b"\xff\xfe\x00", b"{}", b'{"a": NaN}', bytes(64))
VALUES = (None, -1, 1e400, "x", [], {}, True, "9" * 50, [[]], {"a": {"b": []}})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("finished") / "run"
    run.run(tiny.config(epochs=0.5), workdir)
    return workdir


def mutated(draw, content):
    """Returns a file's content as a person, a disk or another program may have left it."""
    way = draw.randrange(4)
    if way == 0:
        return draw.choice(WORDS)
    if way == 1:
        return content[: draw.randrange(len(content))]
    if way == 2:
        place = draw.randrange(len(content))
        return content[:place] + bytes([draw.randrange(256)]) + content[place + 1 :]
    return json.dumps(changed(draw, json.loads(content))).encode()


def changed(draw, value):
    """Returns the tree with one of its values gone or of another kind, at a random depth."""
    value = dict(value) if isinstance(value, dict) else list(value)
    key = draw.choice(sorted(value) if isinstance(value, dict) else range(len(value)))
    if isinstance(value[key], dict | list) and value[key] and draw.random() < 0.7:
        value[key] = changed(draw, value[key])
    elif draw.random() < 0.3:
        del value[key]
    else:
        value[key] = draw.choice(VALUES)
    return value


def outcome(function, *arguments):
    """Returns None, or what is neither an answer nor a sentence."""
    try:
        function(*arguments)
    except (InputError, Failure) as error:
        text = str(error)
        return None if text and len(text) < 2000 else f"no sentence: {text!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("name", [files.CONFIG, files.DATASET, files.RESULT, files.ENVIRONMENT])
def test_any_record_of_a_workdir_is_read_or_refused(name, finished, tmp_path):
    before = kept(finished)
    content, found = (finished / name).read_bytes(), {}
    for number in range(40):
        workdir = tmp_path / f"{number}"
        shutil.copytree(finished, workdir)
        (workdir / name).write_bytes(written := mutated(random.Random(number), content))
        config = tiny.config(epochs=0.5)
        for what in (partial(trained.load, workdir), partial(run.run, config, workdir)):
            if defect := outcome(what):
                found[number] = f"{written[:300]!r}: {defect}"
        assert kept(workdir) == before or name == files.RESULT
        shutil.rmtree(workdir)
    assert found == {}


@pytest.mark.parametrize("words", [b"", b"PK", b"\x93NUMPY", bytes(300), b"PK\x03\x04" + bytes(99)])
def test_a_cache_that_holds_anything_is_made_anew(words, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path))
    made = {"a": np.arange(5)}
    for number in range(30):
        cached("set", "0" * 64, lambda: made)
        (file,) = (tmp_path / "datasets").glob("set-*.npz")
        content, draw = file.read_bytes(), random.Random(number)
        place = draw.randrange(len(content))
        file.write_bytes(words + content[:place] if number % 2 else content[:place] + words)
        np.testing.assert_array_equal(cached("set", "0" * 64, lambda: made)["a"], made["a"])


@pytest.mark.parametrize(
    "platforms",
    [
        *(pytest.param(word, marks=pytest.mark.slow) for word in ("cuda", "tpu", ",", "cpu ")),
        "nonsense",
    ],
)
def test_any_word_for_the_devices_ends_in_a_run_or_a_sentence(platforms, tmp_path):
    command = (sys.executable, "-m", "experiments.train", "--config=tests/tiny.py",
               "--config.epochs=0.0", f"--workdir={tmp_path}")  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"JAX_PLATFORMS": platforms},
                          capture_output=True, text=True, timeout=300)  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0 or done.stderr.startswith("error: "), done.stderr


CONFIGS = {
    "syntax": "def get_config(:", "no function": "x = 1", "raises": "1 / 0",
    "raises later": "def get_config(): return {}['x']", "none": "def get_config(): pass",
    "a list": "def get_config(): return [1]", "bytes": "\x00\x01", "imports": "import nothing_here",
    "another": "import ml_collections as m\ndef get_config(): return m.ConfigDict({'a': 1})",
}  # fmt: skip


# How ml_collections reads a config file.
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
@pytest.mark.parametrize("name", CONFIGS)
def test_any_config_file_ends_in_a_sentence(name, tmp_path, capsys, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text(CONFIGS[name])
    monkeypatch.setattr("sys.argv", ["train", f"--config={file}"])
    monkeypatch.delitem(sys.modules, "config_config", raising=False)  # that of another file
    assert fuzz.outcome([f"--config={file}"]) == "sentence"
