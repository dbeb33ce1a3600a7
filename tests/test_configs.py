"""The config files, each with every network it may be asked for."""

import runpy
from pathlib import Path

import pytest
from absl import flags

from cnnjax import config as configuration
from cnnjax import models
from cnnjax.evaluation.trained import build_module
from cnnjax.train import phases
from experiments import configuration as configuration_flag
from experiments import launch

CONFIGS = Path(__file__).parent.parent / "configs"


def of_file(file, variant):
    return configuration.check(runpy.run_path(str(CONFIGS / file))["get_config"](variant))


@pytest.mark.parametrize("file", ["mnist.py", "digits.py", "cifar10.py", "imagenet.py"])
def test_every_network_gets_only_fields_that_it_has(file):
    for name in models.MODELS:
        config = of_file(file, name)
        assert config["model"]["name"] == name
        build_module(config, outputs=10)


def test_every_mode_of_transfer_is_a_config():
    known = runpy.run_path(str(CONFIGS / "transfer.py"))["MODES"]
    for mode in known:
        config = of_file("transfer.py", mode)
        phases.check(config, build_module(config, outputs=5))
        assert (config["init"]["path"] == "") == (mode in ("source", "scratch"))
    assert len(known) == 5


def test_lenet5_keeps_the_fields_of_its_recipe():
    config = of_file("mnist.py", None)
    assert configuration.extra(config, "model") == {"act": "relu", "pool": "max"}
    other = of_file("mnist.py", "resnet20")
    assert configuration.extra(other, "model") == {}
    for section in ("epochs", "batch_size", "optimizer", "schedule", "data"):
        assert other[section] == config[section]


# ml_collections loads config files by a call that Python 3.12 has in another place.
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("optimizer", "set config.optimizer.name=x"),
        ("model", "set config.model.name=x"),
        ("data", "set config.data.name=x"),
        ("schedule", "set config.schedule.name=x"),
        (
            "report",
            "set one of config.report.every_steps, config.report.tensorboard, "
            "config.report.pictures",
        ),
    ],
)
def test_a_section_given_as_a_field_is_explained(section, words, capsys, monkeypatch):
    arguments = ["train", f"--config.{section}=x"]
    monkeypatch.setattr("sys.argv", arguments)  # where ml_collections looks for what is overridden
    values = flags.FlagValues()
    configuration_flag.define(values)
    with pytest.raises(SystemExit) as ended:
        launch.parse(arguments, values)
    assert ended.value.code == launch.UNUSABLE
    said = capsys.readouterr().err
    assert said == f"error: config.{section} is a section: {words}\n"


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_other_values_that_cannot_be_parsed_keep_their_sentence(capsys, monkeypatch):
    arguments = ["train", "--config.batch_size=7,a"]
    monkeypatch.setattr("sys.argv", arguments)
    values = flags.FlagValues()
    configuration_flag.define(values)
    with pytest.raises(SystemExit):
        launch.parse(arguments, values)
    assert "--config.batch_size=7,a: invalid literal" in capsys.readouterr().err
