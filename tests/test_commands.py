"""The command `cnnjax`, from a wheel as from a checkout, and what --help says."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cnnjax import __main__ as program
from cnnjax import commands, config, data, models, tasks

ROOT = Path(__file__).parent.parent


def python(*arguments, cwd=ROOT, **environment):
    return subprocess.run(
        (sys.executable, *map(str, arguments)),
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds what a wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--no-index")
    source = folder / "source"  # setuptools writes beside what it builds
    source.mkdir()
    for name in ("cnnjax", "configs", "experiments", "pyproject.toml", "setup.py", "README.md"):
        (source / name).symlink_to(ROOT / name)
    (source / "LICENSE").symlink_to(ROOT / "LICENSE")
    done = python(*build, "--wheel-dir", folder, source)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(folder.glob("cnnjax-*.whl"))) as wheel:
        wheel.extractall(folder / "installed")
    return folder / "installed"


def test_a_wheel_takes_one_name_and_holds_everything(installed):
    tops = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"cnnjax"}
    for name in ("cnnjax", "configs", "experiments"):
        under = installed / "cnnjax" / ("" if name == "cnnjax" else f"home/{name}")
        for path in (ROOT / name).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert (under / path.relative_to(ROOT / name)).is_file(), path


def test_an_installed_command_needs_no_checkout(installed, tmp_path):
    # What many have beside them, and must not be taken for ours.
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").write_text("raise SystemExit('not this one')")
    summary = ("-m", "cnnjax", "summary", "--config=mnist:lenet5", "--config.model.act=relu")
    done = python("-P", *summary, cwd=tmp_path, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    assert "61,706" in done.stdout
    done = python("-P", "-m", "cnnjax", "--help", cwd=tmp_path, PYTHONPATH=str(installed))
    for name in commands.names():
        assert re.search(rf"^  {name} +\w", done.stdout, re.M)


def test_a_config_of_the_users_comes_before_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = f"{ROOT}/configs/mnist.py"
    for given in ("configs/mnist.py", "mnist.py", "mnist", str(ours)):
        assert commands.config_file(given) == ours
        assert commands.config_file(f"{given}:lenet5,quick") == f"{ours}:lenet5,quick"
    for given in ("configs/mine.py", "../pyproject.toml", "", ":lenet5", "mnist/lenet5"):
        assert commands.config_file(given) == given
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mnist.py").touch()
    assert commands.config_file("configs/mnist.py") == "configs/mnist.py"


def test_a_command_that_is_none_is_refused_with_the_nearest(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cnnjax", "trian"])
    assert program.main() == 2
    assert "did you mean train" in capsys.readouterr().err


def test_a_command_is_named_as_it_was_started(monkeypatch):
    assert commands.spelled("train") == "python -m experiments.train"
    monkeypatch.setenv(commands.SWITCH, "1")
    assert commands.spelled("train") == "cnnjax train"


@pytest.mark.parametrize("name", ["train", "evaluate", "summary"])
def test_help_says_what_for_how_and_which_flags(name):
    done = python("-m", f"experiments.{name}", "--help")
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.startswith(commands.names()[name])
    assert f"\npython -m experiments.{name} --" in done.stdout
    for flag in ("config",) if name == "summary" else ("workdir", "coordinator", "fake_devices"):
        assert f"\n  --{flag}=" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("name", sorted(commands.names()))
def test_every_entry_point_has_an_example(name):
    text = (ROOT / "experiments" / f"{name}.py").read_text().partition('"""\n\n')[0]
    assert f"\npython -m experiments.{name}" in text.replace("\n    ", "\n")


def printed(topic, capsys):
    from experiments import help

    help.show(topic)
    return capsys.readouterr().out


def test_help_on_config_prints_every_field(capsys):
    text = printed("config", capsys)
    for name, entry in config.FIELDS.items():
        for word in entry if isinstance(entry, dict) else [None]:
            assert f" {name}.{word} " in text if word else f" {name} " in text


@pytest.mark.parametrize(
    ("topic", "table"),
    [("networks", models.MODELS), ("data", data.DATASETS), ("tasks", tasks.TASKS)],
)
def test_help_names_all_of_a_table(topic, table, capsys):
    words = re.findall(r"\w+", printed(topic, capsys))
    assert set(table) <= set(words)


def test_help_on_nothing_known_is_refused():
    done = python("-m", "experiments.train", "--help=network")
    assert done.returncode == 2 and "did you mean networks" in done.stderr
